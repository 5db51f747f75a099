//! Thresholds on a score.

/// Thresholds on a score, in units of the model's activations.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Bounds {
    /// Breached below this.
    pub min: Option<f64>,
    /// Breached above this.
    pub max: Option<f64>,
}

impl Bounds {
    /// The threshold that a score is past, if any. A score on the threshold is within bounds; one
    /// that is no number is never judged, see [`Decision`](crate::Decision).
    #[must_use]
    pub fn passed(&self, score: f64) -> Option<f64> {
        self.max.filter(|max| score > *max).or(self.min.filter(|min| score < *min))
    }

    /// How far a score is past its threshold; 0 within bounds.
    #[must_use]
    pub fn excess(&self, score: f64) -> f64 {
        self.passed(score).map_or(0.0, |threshold| (score - threshold).abs())
    }
}
