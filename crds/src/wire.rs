//! What a sidecar pushes to the operator: cumulative and content-free, so that a lost push or a new
//! leader loses nothing.
//!
//! `POST https://…:8443/v1/reports` with `Authorization: Bearer <projected token>`; whose report it
//! is follows from the token alone. Answers: 204 taken; 400 malformed; 401 token not good; 403 not
//! a pod's token; 410 the pod is gone; 413 too large; 503 with Retry-After: not the leader, or
//! overloaded.

use crate::policy::Action;
use crate::quantity::Digest;
use crate::report::{DriftCharts, PodState, Totals};
use crate::sketch::Sketch;
use jiff::Timestamp;
use schemars::JsonSchema;
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
    /// With `Failed`: a reason of [`crate::conditions::reason`], and a sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
}

/// Why something is not served.
#[derive(JsonSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Failure {
    /// CamelCase reason.
    pub reason: String,
    /// A sentence that says what to do. Never prompt or response text.
    pub message: String,
}

/// A policy that a sidecar enforces.
#[derive(JsonSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PolicyAcknowledgement {
    /// Name of the policy.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// Generation that is in force.
    pub generation: i64,
    /// Digest of all that the policy resolved to, as it is in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    // the rule of a digest would cost too much in an unbounded list
    pub digest: Option<Digest>,
    /// Traits of it that this sidecar refuses to serve, by vector name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<RefusedTrait>,
}

/// A trait that a sidecar refuses to serve.
#[derive(JsonSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RefusedTrait {
    /// Name of the vector.
    pub vector: String,
    /// Why.
    pub failure: Failure,
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

/// The distribution of a trait's scores since calibration began.
#[derive(JsonSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Sample {
    /// What the scores are of, as the config said
    /// ([`crate::guard_config::ResolvedTrait::calibrates`]).
    #[schemars(with = "String")]
    // the rule of a digest would cost too much in an unbounded list
    pub basis: Digest,
    /// Their distribution.
    pub sketch: Sketch,
    /// Different system prompts that they were under, each as the first 12 digits of its SHA-256,
    /// or `none`; in order, and at most [`MAX_SYSTEM_PROMPTS`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub system_prompts: Vec<String>,
}

/// Different system prompts that are told apart; further ones are not noted.
pub const MAX_SYSTEM_PROMPTS: usize = 8;

impl Sample {
    /// An empty one.
    #[must_use]
    pub fn new(basis: Digest) -> Self {
        Self { basis, sketch: Sketch::default(), system_prompts: Vec::new() }
    }

    /// Takes in the score of a response, and what its system prompt is known by.
    pub fn add(&mut self, score: f64, system_prompt: Option<&str>) {
        self.sketch.add(score);
        system_prompt.into_iter().for_each(|prompt| self.note(prompt));
    }

    /// Takes in a sample of the same thing.
    pub fn merge(&mut self, other: &Self) {
        self.sketch.merge(&other.sketch);
        other.system_prompts.iter().for_each(|prompt| self.note(prompt));
    }

    fn note(&mut self, system_prompt: &str) {
        if let Err(place) =
            self.system_prompts.binary_search_by(|known| known.as_str().cmp(system_prompt))
            && self.system_prompts.len() < MAX_SYSTEM_PROMPTS
        {
            self.system_prompts.insert(place, system_prompt.to_owned());
        }
    }

    /// Whether it can be one: what comes from outside is to be asked this first.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        let hash = |text: &String| {
            text == "none" || (text.len() == 12 && text.bytes().all(|b| b.is_ascii_hexdigit()))
        };
        self.sketch.is_sound()
            && self.system_prompts.len() <= MAX_SYSTEM_PROMPTS
            && self.system_prompts.iter().all(hash)
            && self.system_prompts.is_sorted()
    }
}

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
