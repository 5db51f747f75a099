//! What thresholds in `sigma` and `quantile` refer to.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The distribution of scores of benign answers.
#[derive(JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct CalibrationSource {
    /// `Vector`: the calibration in each vector's file. `Traffic`: what the policy's own pods score
    /// in mode `Audit`; only numbers are collected. Thresholds in `sigma` and `quantile` come into
    /// force with mode `Enforce`, and then stay as they are.
    pub from: CalibratedFrom,
    /// With `Traffic`: responses to collect before the calibration can be used, 50 to 100000. A
    /// high quantile needs more.
    #[schemars(range(min = 50, max = 100_000))]
    pub min_responses: u32,
}

impl Default for CalibrationSource {
    fn default() -> Self {
        Self { from: CalibratedFrom::default(), min_responses: 200 }
    }
}

/// Where a calibration comes from.
#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum CalibratedFrom {
    /// The vector's own file.
    #[default]
    Vector,
    /// The traffic that the policy guards.
    Traffic,
}

/// How many responses it takes to expect at least one beyond a quantile.
#[must_use]
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
pub fn responses_for_quantile(q: f64) -> u64 {
    if q.is_nan() {
        return u64::MAX;
    }
    (1.0 / (1.0 - q).min(q) - 1e-9).ceil() as u64
}
