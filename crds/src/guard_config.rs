//! The config folder of a sidecar: what one (namespace, model) enforces, resolved, as readable YAML.

use crate::policy::{Action, Evidence, FailurePolicy, Mode, Score, Steering};
use crate::quantity::{Digest, Layer};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
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
    /// Vectors that the policies use, by `PersonaVector` name; each is a tensor of `vectors.safetensors`.
    pub vectors: BTreeMap<String, ResolvedVector>,
    /// Policies, in order of their names. A sidecar enforces those that select its pod; without a cluster, all.
    pub policies: Vec<ResolvedPolicy>,
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
    /// SHA-256 of the weight file that the vector was extracted from; for another model it is not enforced.
    pub model_digest: Digest,
    /// SHA-256 of the layer's values (F32, little-endian), as they stand in `vectors.safetensors`.
    pub sha256: Digest,
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
    /// Whether it acts.
    pub mode: Mode,
    /// Pods that it guards.
    pub selector: LabelSelector,
    /// What happens to traffic that cannot be scored.
    pub failure_policy: FailurePolicy,
    /// What it takes to call it a breach.
    pub evidence: Evidence,
    /// Its traits, each with a vector of [`GuardConfig::vectors`].
    pub traits: Vec<ResolvedTrait>,
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
}
