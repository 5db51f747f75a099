//! The distribution of a projection over benign traffic, and the thresholds that are given in it.

use serde::{Deserialize, Serialize};

/// Order statistics that a calibration keeps at most.
pub const MAX_ORDER_STATISTICS: usize = 1001;

/// The distribution of a projection over benign traffic of one (model, system prompt). Serialises
/// as the `calibration` of a `PersonaVector` status does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Calibration {
    /// Responses in the sample.
    pub count: u32,
    /// Their mean projection.
    pub mean: f64,
    /// Their standard deviation (n − 1).
    pub standard_deviation: f64,
    /// The projections in rising order, thinned to at most [`MAX_ORDER_STATISTICS`] evenly spaced
    /// order statistics (first and last kept).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sorted: Vec<f64>,
}

impl Calibration {
    /// From the scores of benign responses. `None` for fewer than two, or where one is not finite:
    /// there is no spread to give a threshold in.
    #[must_use]
    pub fn from_scores(scores: &[f64]) -> Option<Self> {
        if scores.len() < 2 || scores.iter().any(|score| !score.is_finite()) {
            return None;
        }
        let n = scores.len() as f64;
        let mean = scores.iter().sum::<f64>() / n;
        let variance = scores.iter().map(|score| (score - mean).powi(2)).sum::<f64>() / (n - 1.0);
        let mut sorted = scores.to_vec();
        sorted.sort_by(f64::total_cmp);
        Some(Self {
            count: u32::try_from(scores.len()).ok()?,
            mean: round(mean),
            standard_deviation: round(variance.sqrt()),
            sorted: thin(&sorted, MAX_ORDER_STATISTICS).into_iter().map(round).collect(),
        })
    }

    /// The raw projection that lies `sigma` standard deviations above the mean.
    #[must_use]
    pub fn sigma(&self, sigma: f64) -> f64 {
        self.mean + sigma * self.standard_deviation
    }

    /// The raw projection that a fraction `q` of benign responses stays below, interpolated between
    /// order statistics (type 7 of Hyndman and Fan). `None` where the sample cannot carry it: fewer
    /// than one response in it is expected beyond `q`.
    #[must_use]
    pub fn quantile(&self, q: f64) -> Option<f64> {
        let expected_beyond = f64::from(self.count) * (1.0 - q).min(q);
        if !(0.0..=1.0).contains(&q) || expected_beyond < 1.0 {
            return None;
        }
        interpolate(&self.sorted, q)
    }

    /// Standard errors of mean and standard deviation for a normal population: σ/√n and
    /// σ/√(2(n−1)).
    #[must_use]
    pub fn standard_errors(&self) -> (f64, f64) {
        let n = f64::from(self.count);
        (self.standard_deviation / n.sqrt(), self.standard_deviation / (2.0 * (n - 1.0)).sqrt())
    }

    /// Whether the numbers can be a calibration: finite, at least two responses, in order.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.count >= 2
            && self.mean.is_finite()
            && self.standard_deviation.is_finite()
            && self.standard_deviation >= 0.0
            && self.sorted.len() <= MAX_ORDER_STATISTICS.min(self.count as usize)
            && self.sorted.iter().all(|value| value.is_finite())
            && self.sorted.is_sorted()
    }
}

/// At most `most` evenly spaced values of a sorted slice, first and last kept.
fn thin(sorted: &[f64], most: usize) -> Vec<f64> {
    if sorted.len() <= most {
        return sorted.to_vec();
    }
    (0..most).map(|i| sorted[(i * (sorted.len() - 1) + (most - 1) / 2) / (most - 1)]).collect()
}

fn interpolate(sorted: &[f64], q: f64) -> Option<f64> {
    let position = q * (sorted.len().checked_sub(1)? as f64);
    let below = sorted.get(position.floor() as usize)?;
    let above = sorted.get(position.ceil() as usize)?;
    Some(below + (above - below) * position.fract())
}

/// Six decimals: the files stay small and read back to the same bits.
pub(crate) fn round(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mean_and_spread_of_a_known_sample() {
        let calibration = Calibration::from_scores(&[4.0, 2.0, 8.0, 6.0]).unwrap();
        assert_eq!((calibration.count, calibration.mean), (4, 5.0));
        assert_eq!(calibration.standard_deviation, round((20.0_f64 / 3.0).sqrt()));
        assert_eq!(calibration.sorted, [2.0, 4.0, 6.0, 8.0]);
        assert_eq!(calibration.quantile(0.5), Some(5.0));
        assert!((calibration.sigma(3.0) - (5.0 + 3.0 * 2.581989)).abs() < 1e-9);
    }

    #[test]
    fn a_sample_too_small_for_a_quantile_says_so() {
        let scores: Vec<f64> = (0..500).map(f64::from).collect();
        let calibration = Calibration::from_scores(&scores).unwrap();
        assert_eq!(calibration.quantile(0.999), None);
        assert!(calibration.quantile(0.99).is_some());
    }

    #[test]
    fn thinning_keeps_both_ends_and_the_median() {
        let scores: Vec<f64> = (0..10_001).map(f64::from).collect();
        let calibration = Calibration::from_scores(&scores).unwrap();
        assert_eq!(calibration.sorted.len(), MAX_ORDER_STATISTICS);
        assert_eq!(calibration.sorted[0], 0.0);
        assert_eq!(calibration.sorted[500], 5000.0);
        assert_eq!(calibration.sorted[1000], 10_000.0);
        assert_eq!(calibration.quantile(0.999), Some(9990.0));
    }

    #[test]
    fn no_spread_no_calibration() {
        assert_eq!(Calibration::from_scores(&[1.0]), None);
        assert_eq!(Calibration::from_scores(&[1.0, f64::NAN]), None);
    }
}
