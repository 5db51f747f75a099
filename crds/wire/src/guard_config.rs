//! The config folder of a sidecar: what one (namespace, model) enforces, resolved, as readable
//! YAML.

mod numbers;

use crate::acknowledgement::Failure;
use crate::made_on::MadeOn;
use crate::selector::Selector;
use personaguard_terms::{
    API_VERSION, Action, Device, Digest, Evidence, FailurePolicy, Layer, Mode, RequestBounds,
    Sampling, Score, UnscorableRequests,
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
    /// Policies, in order of their names. A sidecar enforces those that select its pod, or without
    /// a cluster all of them.
    pub policies: Vec<ResolvedPolicy>,
    /// Policies that should be enforced and cannot be, in order of their names. Traffic of the pods
    /// that they select is unguarded, or refused if they fail closed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unresolved: Vec<UnresolvedPolicy>,
}

impl GuardConfig {
    /// Value of [`GuardConfig::kind`].
    pub const KIND: &str = "GuardConfig";

    /// As `config.yaml`. Equal configs give equal text.
    ///
    /// # Errors
    /// If a number cannot be written, which does not happen with finite thresholds.
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
    /// It cannot be serialised.
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
        "this is a {kind} of {api_version}, and only a GuardConfig of {API_VERSION} can be read: \
         use operator and sidecar of one version"
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
    /// Name by which clients ask for it.
    pub name: String,
    /// Other names by which they may.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    /// Weight file: absolute, or relative to the config folder. Empty where vLLM runs the model.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub file: String,
    /// SHA-256 of the weight file; another file is not served.
    pub sha256: Digest,
    /// Longest context in tokens.
    pub context_length: u32,
    /// Requests that may run at the same time.
    pub max_concurrent: u32,
    /// Longest request body in bytes; none: the sidecar's own limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_request_bytes: Option<u32>,
    /// Longest time in seconds for scoring one piece of a response; none: the sidecar's own limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scoring_deadline_seconds: Option<u32>,
    /// CPU threads for the decoder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threads: Option<u32>,
    /// Where the decoder runs. With `Cuda` it is the first GPU that the container has.
    #[serde(default, skip_serializing_if = "Device::is_cpu")]
    pub device: Device,
}

impl ServedModel {
    /// What a sidecar loads once and keeps until its pod is replaced, as 12 digits: another file,
    /// digest, context, number of threads or device is another identity.
    #[must_use]
    pub fn identity(&self) -> String {
        let Self { file, sha256, context_length, threads, device, .. } = self;
        let all = format!("{file}\n{sha256}\n{context_length}\n{threads:?}\n{device:?}");
        Digest::of(all.as_bytes()).short().to_owned()
    }
}

/// A vector at the layer in use.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ResolvedVector {
    /// The trait.
    #[serde(rename = "trait")]
    pub trait_name: String,
    /// Layer, 1-based.
    pub layer: Layer,
    /// SHA-256 of the weight file that the vector was extracted from. It is not used with any
    /// other.
    pub model_digest: Digest,
    /// How those weights were served, where the file says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made_on: Option<MadeOn>,
    /// SHA-256 of the layer's values (F32, little-endian) in `vectors.safetensors`.
    pub sha256: Digest,
    /// What benign answers score at that layer, if that is known. Drift is measured against it.
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
    /// Its generation, which a sidecar acknowledges.
    pub generation: i64,
    /// Digest of everything that the policy resolves to ([`GuardConfig::enforced`]), for those who
    /// read the file. A vector that is made again changes what is enforced, but not the generation,
    /// so a sidecar acknowledges both: the digest that it computes itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// Whether it acts or only measures.
    pub mode: Mode,
    /// Pods that it guards.
    pub selector: Selector,
    /// What happens to traffic that cannot be scored because of a fault.
    pub failure_policy: FailurePolicy,
    /// What happens to what cannot be read; none: as [`Self::unscorable_requests`] says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unscorable_requests: Option<UnscorableRequests>,
    /// How much evidence makes a breach.
    pub evidence: Evidence,
    /// Which responses are scored. `None`: all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sampling: Option<Sampling>,
    /// Whether conversations may be written to the sidecar's conversation log.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub record_conversations: bool,
    /// Its traits, each with a vector of [`GuardConfig::vectors`].
    pub traits: Vec<ResolvedTrait>,
}

impl ResolvedPolicy {
    /// What happens to what cannot be read. Unless the policy says it: refused where the policy
    /// enforces and withholds text or fails closed, since a client could otherwise choose not to be
    /// scored.
    #[must_use]
    pub fn unscorable_requests(&self) -> UnscorableRequests {
        if self.mode == Mode::Audit {
            return UnscorableRequests::Pass;
        }
        let refuses = self.failure_policy == FailurePolicy::Closed
            || self.traits.iter().any(|rule| rule.action.holds());
        let default = if refuses { UnscorableRequests::Refuse } else { UnscorableRequests::Pass };
        self.unscorable_requests.unwrap_or(default)
    }

    /// Whether the policy guards a pod with these labels.
    #[must_use]
    pub fn selects(&self, labels: &BTreeMap<String, String>) -> bool {
        self.selector.selects(labels)
    }
}

/// A policy in mode `Enforce` that could not be resolved, so that nothing of it is enforced.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UnresolvedPolicy {
    /// Name of the `PersonaPolicy`.
    pub name: String,
    /// Pods that it should guard.
    pub selector: Selector,
    /// What happens to the traffic of those pods.
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
    /// What callers may ask for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<RequestBounds>,
    /// During calibration on the guarded traffic: the digest under which scores are sampled and
    /// reported. Under another digest, sampling starts from zero.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calibrates: Option<Digest>,
    /// What the guarded traffic scored during its calibration. Drift is measured against this in
    /// place of the vector's baseline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<Baseline>,
}
