//! Status of a `PersonaPolicy`.

use crate::model::LoadedWeights;
use crate::sample::Sketch;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use personaguard_terms::Digest;
use personaguard_wire::Sample;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What was observed of a policy.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PersonaPolicyStatus {
    /// The generation that this status describes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The newest generation that every guarded pod has acknowledged to enforce.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acknowledged_generation: Option<i64>,
    /// Number of traits.
    #[serde(default)]
    pub traits: u32,
    /// Pods that enforce this generation, out of those selected: `3/3`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guarded: Option<String>,
    /// Number of workloads with a breach in force.
    #[serde(default)]
    pub breached: u32,
    /// Which weights the sidecars of the selected pods have loaded. They stay loaded until the pod
    /// is replaced.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["sha256"]))]
    pub loaded: Vec<LoadedWeights>,
    /// With `calibration.from: Traffic`: what the policy's own traffic scored, by vector.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["vector"]))]
    pub calibrations: Vec<TrafficCalibration>,
    /// `Accepted`, `Guarded`, `TraitBreached`, `BypassDetected`, `Ready`; with `calibration.from:
    /// Traffic` also `Calibrated`.
    #[serde(default)]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

/// What the guarded traffic scored on a trait while the policy was in mode `Audit`.
#[derive(JsonSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TrafficCalibration {
    /// Name of the `PersonaVector`.
    pub vector: String,
    /// Digest of what the scores are of: policy, model, vector, layer and score. When one of them
    /// changes, the collection starts again.
    #[schemars(with = "String")] // a Digest's rule would cost too much in an unbounded list
    pub basis: Digest,
    /// Number of responses.
    pub count: u64,
    /// Their mean score.
    pub mean: f64,
    /// Their standard deviation (n − 1).
    pub standard_deviation: f64,
    /// Their distribution.
    pub sketch: Sketch,
    /// The different system prompts they were under, at most 8: each as the first 12 digits of its
    /// SHA-256, or `none`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub system_prompts: Vec<String>,
}

impl TrafficCalibration {
    /// The calibration of a vector that a sample makes.
    #[must_use]
    pub fn new(vector: &str, sample: Sample) -> Self {
        let Sample { basis, sketch, system_prompts } = sample;
        let sketch = sketch.rounded();
        let round = |value: f64| (value * 1e6).round() / 1e6;
        Self {
            vector: vector.to_owned(),
            basis,
            count: sketch.count(),
            mean: round(sketch.mean()),
            standard_deviation: round(sketch.standard_deviation()),
            sketch: sketch.into(),
            system_prompts,
        }
    }
}
