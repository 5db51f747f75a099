//! The config folder of a sidecar: what one (namespace, model) enforces, resolved, as readable
//! YAML.

mod numbers;

use crate::acknowledgement::Failure;
use crate::selector::Selector;
use personaguard_terms::{
    API_VERSION, Action, Capping, Device, Digest, Evidence, FailurePolicy, Layer, Mode, Redaction,
    Regeneration, RequestBounds, Sampling, Score, Steering,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// `config.yaml` of a config folder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GuardConfig {
    /// Always `personaguard.dev/v1alpha1`.
    pub api_version: String,
    /// Always `GuardConfig`.
    pub kind: String,
    /// The model to serve.
    pub model: ServedModel,
    /// Vectors that the policies use, by `PersonaVector` name; each is a tensor of
    /// `vectors.safetensors`.
    pub vectors: BTreeMap<String, ResolvedVector>,
    /// Policies, in order of their names. A sidecar enforces those that select its pod; without a
    /// cluster, all.
    pub policies: Vec<ResolvedPolicy>,
    /// Policies that should be enforced and cannot, in order of their names. What they select is
    /// unguarded, or refused where they fail closed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unresolved: Vec<UnresolvedPolicy>,
}

impl GuardConfig {
    /// Value of [`GuardConfig::kind`].
    pub const KIND: &str = "GuardConfig";

    /// As `config.yaml`. Equal configs give equal text.
    ///
    /// # Errors
    /// If a number in it cannot be written; with thresholds that are finite this does not happen.
    pub fn to_yaml(&self) -> Result<String, GuardConfigError> {
        serde_saphyr::to_string(self)
            .map_err(|error| GuardConfigError::Unwritable(error.to_string()))
    }

    /// Reads `config.yaml`.
    ///
    /// # Errors
    /// If the text is not a config of this version, or a number of it is none; the message says
    /// where.
    pub fn from_yaml(text: &[u8]) -> Result<Self, GuardConfigError> {
        let config: Self = serde_saphyr::from_slice(text)
            .map_err(|error| GuardConfigError::Unreadable(error.to_string()))?;
        if config.api_version != API_VERSION || config.kind != Self::KIND {
            let (api_version, kind) = (config.api_version, config.kind);
            return Err(GuardConfigError::Foreign { api_version, kind });
        }
        numbers::check(&config)?;
        Ok(config)
    }
}

/// A config that cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum GuardConfigError {
    /// It does not serialise.
    #[error("the config cannot be written: {0}")]
    Unwritable(String),
    /// It does not parse.
    #[error("{0}")]
    Unreadable(String),
    /// A number is none, or out of range.
    #[error(
        "{0} has a number that is not finite, or out of range: let the operator write it again"
    )]
    NotFinite(String),
    /// It is something else, or of another version.
    #[error(
        "this is a {api_version} {kind}, and {API_VERSION} GuardConfig is read: use operator and sidecar of one version"
    )]
    Foreign {
        /// Its version.
        api_version: String,
        /// Its kind.
        kind: String,
    },
}

/// The model that a sidecar serves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ServedModel {
    /// Name, as clients ask for it.
    pub name: String,
    /// Weight file: absolute, or relative to the config folder.
    pub file: String,
    /// SHA-256 of the weight file; another file is not served.
    pub sha256: Digest,
    /// Longest context in tokens.
    pub context_length: u32,
    /// Requests that run at the same time.
    pub max_concurrent: u32,
    /// CPU threads for the decoder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threads: Option<u32>,
    /// Where the decoder runs; with `Cuda` on the first GPU that the container has.
    #[serde(default, skip_serializing_if = "Device::is_cpu")]
    pub device: Device,
}

/// A vector's chosen layer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ResolvedVector {
    /// The trait.
    #[serde(rename = "trait")]
    pub trait_name: String,
    /// Layer, 1-based.
    pub layer: Layer,
    /// SHA-256 of the weight file that the vector was extracted from; for another model it is not
    /// enforced.
    pub model_digest: Digest,
    /// SHA-256 of the layer's values (F32, little-endian), as they stand in `vectors.safetensors`.
    pub sha256: Digest,
    /// What benign answers score at that layer, where it is known: what drift is measured against.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<Baseline>,
}

/// Mean and spread of `response_avg` over benign answers.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Baseline {
    /// Mean projection.
    pub mean: f64,
    /// Standard deviation, above 0.
    pub standard_deviation: f64,
}

/// A policy as a sidecar enforces it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ResolvedPolicy {
    /// Name of the `PersonaPolicy`.
    pub name: String,
    /// Its UID; empty without a cluster.
    #[serde(default)]
    pub uid: String,
    /// Its generation; what a sidecar acknowledges.
    pub generation: i64,
    /// Digest of all that it resolves to, vectors and model included: a vector that is made anew
    /// changes what a policy enforces without changing its generation. A sidecar acknowledges it
    /// together with the generation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// Whether it acts.
    pub mode: Mode,
    /// Pods that it guards.
    pub selector: Selector,
    /// What happens to traffic that cannot be scored.
    pub failure_policy: FailurePolicy,
    /// What it takes to call it a breach.
    pub evidence: Evidence,
    /// Which responses are scored; none: all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sampling: Option<Sampling>,
    /// Whether conversations may be written to the sidecar's conversation log.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub record_conversations: bool,
    /// Its traits, each with a vector of [`GuardConfig::vectors`].
    pub traits: Vec<ResolvedTrait>,
}

impl ResolvedPolicy {
    /// Whether the policy guards a pod with these labels.
    #[must_use]
    pub fn selects(&self, labels: &BTreeMap<String, String>) -> bool {
        self.selector.selects(labels)
    }
}

/// A policy in mode `Enforce` that was never resolved, so that nothing of it can be enforced.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UnresolvedPolicy {
    /// Name of the `PersonaPolicy`.
    pub name: String,
    /// Pods that it should guard.
    pub selector: Selector,
    /// What happens to their traffic.
    pub failure_policy: FailurePolicy,
    /// Why it is not enforced.
    pub failure: Failure,
}

impl UnresolvedPolicy {
    /// Whether the policy should guard a pod with these labels.
    #[must_use]
    pub fn selects(&self, labels: &BTreeMap<String, String>) -> bool {
        self.selector.selects(labels)
    }
}

/// A trait as a sidecar enforces it. Thresholds are raw projections.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ResolvedTrait {
    /// Name of the `PersonaVector`.
    pub vector: String,
    /// The score that is compared.
    pub score: Score,
    /// Breached below this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    /// Breached above this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
    /// What to do.
    pub action: Action,
    /// How to steer, with action `Steer`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steer: Option<Steering>,
    /// Where to cap, with action `Cap`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cap: Option<Capping>,
    /// How to try again, with action `Regenerate`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub regenerate: Option<Regeneration>,
    /// What to say instead, with action `Redact`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redact: Option<Redaction>,
    /// What callers may ask for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<RequestBounds>,
    /// While the guarded traffic is calibrated on: what its scores are of. They are to be sampled
    /// and reported under this digest; another begins at zero.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calibrates: Option<Digest>,
    /// What the guarded traffic scored when it was calibrated on: what drift is measured against,
    /// in place of the vector's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<Baseline>,
}
