//! Statistics of scores: separation with its uncertainty and its control, and correlation.

mod correlation;
mod permutation;
mod proportion;
mod roc;

pub use correlation::{pearson, pearson_within};
pub(crate) use permutation::quantiles;
pub use permutation::{Control, PairedDifferences};
pub use proportion::proportion_interval;
pub use roc::{Labelled, auroc, auroc_interval};

/// Quantile of a sorted slice, interpolated between order statistics (type 7 of Hyndman and Fan);
/// NaN for an empty one.
#[must_use]
pub fn quantile(sorted: &[f64], q: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
    let position = q.clamp(0.0, 1.0) * last as f64;
    let (below, above) = (sorted[position.floor() as usize], sorted[position.ceil() as usize]);
    below + (above - below) * position.fract()
}

/// Mean; NaN for an empty slice.
#[must_use]
pub fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// Standard deviation (n − 1); NaN for fewer than two values.
#[must_use]
pub fn standard_deviation(values: &[f64]) -> f64 {
    let centre = mean(values);
    (values.iter().map(|value| (value - centre).powi(2)).sum::<f64>() / (values.len() as f64 - 1.0))
        .sqrt()
}
