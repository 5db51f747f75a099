//! What a sidecar pushes to the operator: cumulative and content-free, so that a lost push or a new
//! leader loses nothing.
//!
//! `POST https://…:8443/v1/reports` with `Authorization: Bearer <projected token>`; whose report it
//! is follows from the token alone. Answers: 204 taken; 400 malformed; 401 token not good; 403 not
//! a pod's token; 410 the pod is gone; 413 too large; 503 with Retry-After: not the leader, or
//! overloaded.

use jiff::Timestamp;
use personaguard_api::{
    Action, Digest, DriftCharts, Failure, PodState, PolicyAcknowledgement, Sample, Totals,
};
use serde::{Deserialize, Serialize};

/// Longest vector file in bytes that an extraction Job may deliver: what a ConfigMap holds, less
/// room for its metadata.
pub const MAX_VECTOR_BYTES: usize = (1 << 20) - (16 << 10);

/// How far an extraction Job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExtractionProgress {
    /// Answers given.
    pub done: u32,
    /// Answers to give.
    pub total: u32,
}

/// Longest report body in bytes.
pub const MAX_REPORT_BYTES: usize = 256 * 1024;

/// One push.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SidecarReport {
    /// Random id of the sidecar process: counts start from zero with each.
    pub instance: String,
    /// Rises by at least one with each push of a process.
    pub sequence: u64,
    /// What has become of the model.
    pub model: ModelObservation,
    /// Policies that select this pod, as they are enforced now.
    pub policies: Vec<PolicyAcknowledgement>,
    /// Why the config folder as it is now cannot be applied, where it cannot; the config before it
    /// stays in force.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config_error: Option<String>,
    /// Counts since the process started.
    pub totals: Totals,
    /// Scores since the process started; also of policies that are gone.
    pub traits: Vec<TraitSummary>,
}

/// What has become of the model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ModelObservation {
    /// Name of the `PersonaModel`.
    pub name: String,
    /// State of the sidecar.
    pub state: PodState,
    /// Digest of the weight file that was read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// With `Failed`: a reason of [`personaguard_api::conditions::reason`], and a sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
}

/// Scores of one trait under one policy since the process started.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TraitSummary {
    /// Name of the policy.
    pub policy: String,
    /// Name of the vector.
    pub vector: String,
    /// Action in force.
    pub action: Action,
    /// Responses scored.
    pub scored: u64,
    /// Responses past the threshold.
    pub breaches: u64,
    /// Mean score; 0 where none was scored.
    pub mean: f64,
    /// Sum of squared deviations from the mean (Welford), mergeable.
    pub sum_squared_deviations: f64,
    /// Highest score.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
    /// The last breach.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_breach: Option<Breach>,
    /// Where the scores stand against the calibration; absent for vectors without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drift: Option<DriftCharts>,
    /// The scores themselves, while they are calibrated on; at most [`MAX_SAMPLES`] traits have
    /// one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sample: Option<Sample>,
}

/// Traits of a report that have a sample, at most.
pub const MAX_SAMPLES: usize = 48;

/// A breach, without a word of what was said.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Breach {
    /// When.
    pub at: Timestamp,
    /// Score of the response.
    pub score: f64,
    /// Threshold that it passed.
    pub threshold: f64,
    /// Id of the response, as the client saw it.
    pub response_id: String,
}
