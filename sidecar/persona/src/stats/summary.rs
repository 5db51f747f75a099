//! Moments and quantiles of a sample.

/// Arithmetic mean; NaN for an empty slice.
#[must_use]
pub fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// Sample standard deviation, with n − 1 in the denominator; NaN for fewer than two values.
#[must_use]
pub fn standard_deviation(values: &[f64]) -> f64 {
    let centre = mean(values);
    (values.iter().map(|value| (value - centre).powi(2)).sum::<f64>() / (values.len() as f64 - 1.0))
        .sqrt()
}

/// Standard error of the mean, s/√n; NaN for fewer than two values.
#[must_use]
pub fn standard_error(values: &[f64]) -> f64 {
    standard_deviation(values) / (values.len() as f64).sqrt()
}

/// Quantile `q` (clamped to 0 to 1) of a slice in ascending order, interpolated linearly between
/// order statistics: type 7 of Hyndman and Fan, *The American Statistician* 50 (1996). NaN for an
/// empty slice.
#[must_use]
pub fn quantile(sorted: &[f64], q: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
    let position = q.clamp(0.0, 1.0) * last as f64;
    let (below, above) = (sorted[position.floor() as usize], sorted[position.ceil() as usize]);
    below + (above - below) * position.fract()
}

/// Rounds to six decimals. Numbers in files are rounded so, which keeps the files small and makes
/// them read back to the same bits.
pub(crate) fn round(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}
