//! Calibration: the distribution of a projection over benign traffic, and the thresholds that are
//! given in its quantiles or standard deviations.

use crate::stats::{mean, quantile, round, standard_deviation};
use serde::{Deserialize, Serialize};

/// How many order statistics a calibration keeps at most.
pub const MAX_ORDER_STATISTICS: usize = 1001;

/// The distribution of a projection over benign responses of one model under one system prompt, in
/// units of the residual stream. Serialises like `status.calibration` of a `PersonaVector`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Calibration {
    /// Number of responses.
    pub count: u32,
    /// Mean of their projections.
    pub mean: f64,
    /// Standard deviation of their projections, with n − 1 in the denominator.
    pub standard_deviation: f64,
    /// The projections in ascending order, thinned to at most [`MAX_ORDER_STATISTICS`] evenly
    /// spaced order statistics that include the first and the last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sorted: Vec<f64>,
}

impl Calibration {
    /// Calibrates on the scores of benign responses. `None` for fewer than two scores, or if one of
    /// them is not finite.
    #[must_use]
    pub fn from_scores(scores: &[f64]) -> Option<Self> {
        if scores.len() < 2 || scores.iter().any(|score| !score.is_finite()) {
            return None;
        }
        let mut sorted = scores.to_vec();
        sorted.sort_by(f64::total_cmp);
        Some(Self {
            count: u32::try_from(scores.len()).ok()?,
            mean: round(mean(scores)),
            standard_deviation: round(standard_deviation(scores)),
            sorted: thin(&sorted, MAX_ORDER_STATISTICS).into_iter().map(round).collect(),
        })
    }

    /// The raw projection that lies `sigmas` standard deviations above the mean.
    #[must_use]
    pub fn at_sigma(&self, sigmas: f64) -> f64 {
        self.mean + sigmas * self.standard_deviation
    }

    /// The raw projection that a fraction `q` of benign responses stays below, interpolated as by
    /// [`quantile`]. `None` if the sample is too small for `q`, that is, if fewer than one of its
    /// responses is expected beyond it.
    #[must_use]
    pub fn at_quantile(&self, q: f64) -> Option<f64> {
        let expected_beyond = f64::from(self.count) * (1.0 - q).min(q);
        if !(0.0..=1.0).contains(&q) || expected_beyond < 1.0 || self.sorted.is_empty() {
            return None;
        }
        Some(quantile(&self.sorted, q))
    }

    /// Standard errors of mean and standard deviation, for a normal population: σ/√n and
    /// σ/√(2(n−1)).
    #[must_use]
    pub fn standard_errors(&self) -> (f64, f64) {
        let n = f64::from(self.count);
        (self.standard_deviation / n.sqrt(), self.standard_deviation / (2.0 * (n - 1.0)).sqrt())
    }

    /// Whether the numbers can be those of a distribution: finite, in order, and from at least two
    /// responses.
    pub(crate) fn is_valid(&self) -> bool {
        self.count >= 2
            && self.mean.is_finite()
            && self.standard_deviation.is_finite()
            && self.standard_deviation >= 0.0
            && self.sorted.len() <= MAX_ORDER_STATISTICS.min(self.count as usize)
            && self.sorted.iter().all(|value| value.is_finite())
            && self.sorted.is_sorted()
    }
}

/// At most `limit` evenly spaced values of a sorted slice, including the first and the last.
fn thin(sorted: &[f64], limit: usize) -> Vec<f64> {
    if sorted.len() <= limit {
        return sorted.to_vec();
    }
    (0..limit).map(|i| sorted[(i * (sorted.len() - 1) + (limit - 1) / 2) / (limit - 1)]).collect()
}

#[cfg(test)]
mod tests;
