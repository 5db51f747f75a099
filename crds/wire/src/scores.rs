//! Scores of one trait, as a sidecar sums them up.

use crate::invalid::Invalid;
use crate::limits::{MAX_NAME, MAX_RESPONSE_ID, is_count, is_name, is_score};
use crate::sample::Sample;
use jiff::Timestamp;
use personaguard_terms::{ActionKind, Mode, Score};
use serde::{Deserialize, Serialize};

/// Scores of one trait under one policy since the process started.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TraitSummary {
    /// Name of the policy.
    pub policy: String,
    /// Name of the `PersonaVector`.
    pub vector: String,
    /// The score that counts.
    #[serde(default, skip_serializing_if = "Score::is_default")]
    pub score: Score,
    /// The action that the policy says.
    pub action: ActionKind,
    /// Whether it was taken: in mode `Audit` nothing is enforced.
    #[serde(default = "enforce")]
    pub mode: Mode,
    /// Responses scored.
    pub scored: u64,
    /// Responses past the threshold.
    pub breaches: u64,
    /// Mean score; 0 if none was scored.
    pub mean: f64,
    /// Sum of squared deviations from the mean (Welford), mergeable.
    pub sum_squared_deviations: f64,
    /// Highest score.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
    /// The last breach.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_breach: Option<Breach>,
    /// How the scores compare with the calibration; absent for vectors without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drift: Option<DriftCharts>,
    /// The scores themselves, while a calibration is collected; at most
    /// [`MAX_SAMPLES`](crate::MAX_SAMPLES) traits of a report have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sample: Option<Sample>,
}

/// Sidecars that say no mode report the action that they took.
fn enforce() -> Mode {
    Mode::Enforce
}

/// A breach, without a word of the conversation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Breach {
    /// When.
    pub at: Timestamp,
    /// Score of the response.
    pub score: f64,
    /// The threshold it passed.
    pub threshold: f64,
    /// Id of the response, as the client saw it.
    pub response_id: String,
}

/// Two control charts of z-scores against the calibration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DriftCharts {
    /// EWMA of z-scores: the current shift, in standard deviations of the calibration.
    pub shift: f64,
    /// Upper CUSUM, in standard deviations, at least 0.
    pub up: f64,
    /// Lower CUSUM, in standard deviations, at least 0.
    pub down: f64,
    /// Whether drift is in force: from an alarm until both charts have fallen below half their
    /// limits.
    pub detected: bool,
}

impl TraitSummary {
    /// Checks that names are names and scores are numbers.
    ///
    /// # Errors
    /// If no sidecar would send it.
    pub fn validate(&self) -> Result<(), Invalid> {
        if !is_name(&self.policy, MAX_NAME) || !is_name(&self.vector, MAX_NAME) {
            return Err(Invalid::TraitName);
        }
        if ![self.scored, self.breaches].into_iter().all(is_count) {
            return Err(Invalid::Score);
        }
        let sums = [Some(self.sum_squared_deviations), self.drift.map(|charts| charts.up)];
        let sums = sums.into_iter().chain([self.drift.map(|charts| charts.down)]);
        if sums.flatten().any(|sum| sum < 0.0) {
            return Err(Invalid::Score);
        }
        let drift = self.drift.map(|charts| [charts.shift, charts.up, charts.down]);
        let scores = [Some(self.mean), Some(self.sum_squared_deviations), self.max];
        if !scores.into_iter().flatten().chain(drift.into_iter().flatten()).all(is_score) {
            return Err(Invalid::Score);
        }
        self.sample.as_ref().map_or(Ok(()), Sample::validate)?;
        self.last_breach.as_ref().map_or(Ok(()), Breach::validate)
    }
}

impl Breach {
    fn validate(&self) -> Result<(), Invalid> {
        let valid = is_name(&self.response_id, MAX_RESPONSE_ID)
            && is_score(self.score)
            && is_score(self.threshold);
        if valid { Ok(()) } else { Err(Invalid::Breach) }
    }
}
