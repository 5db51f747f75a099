//! What a vector file says about its vectors.

use crate::calibration::Calibration;
use crate::dose_response::SteeringPoint;
use crate::stats::{Interval, PermutedControl};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Name of the metadata entry in the safetensors header.
pub(super) const ENTRY: &str = "persona_vector";

/// The model that a vector belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ModelIdentity {
    /// Name, for people.
    pub name: String,
    /// SHA-256 of the weight file, 64 lower-case hexadecimal digits. It binds the vector to the
    /// model.
    pub sha256: String,
}

/// How the weights were served that a vector was made on, where that was not our own engine: what
/// the digest of their files does not say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MadeOn {
    /// Name of the engine, such as `vllm`.
    pub engine: String,
    /// Its version.
    pub version: String,
    /// Version of our plugin in it.
    pub plugin: String,
    /// The numbers that it computes with, such as `bfloat16`.
    pub dtype: String,
    /// How it quantises the weights, if it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quantization: Option<String>,
    /// The adapter that the requests named, as the engine calls it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub adapter: Option<String>,
}

/// How many responses a vector was made from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SampleCounts {
    /// Responses that show the trait.
    pub positive: u32,
    /// Responses that do not.
    pub negative: u32,
}

/// How well the vector of one layer separates responses that show the trait from those that do not,
/// on held-out questions.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LayerValidation {
    /// Area under the ROC curve, 0 to 1.
    pub auroc: f64,
    /// Its 95% confidence interval.
    pub interval: Interval,
    /// Its permuted-label control.
    pub permuted: PermutedControl,
    /// AUROC of the same responses rescored under a neutral system prompt, which leaves out what
    /// the prompt itself contributes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rescored: Option<f64>,
    /// The permuted-label control of the rescored responses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rescored_permuted: Option<PermutedControl>,
    /// The effect of steering at this layer, by which the layer was chosen: change of the
    /// log-likelihood of trait-showing against trait-free answers, in nats per token and unit of
    /// coefficient.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steering_effect: Option<f64>,
}

/// What a vector file says about its vectors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct VectorMetadata {
    /// Always [`VectorMetadata::FORMAT`].
    pub format: String,
    /// Name of the trait, such as `evil`: a DNS label.
    #[serde(rename = "trait")]
    pub trait_name: String,
    /// Description of the trait in plain words.
    pub description: String,
    /// The model.
    pub model: ModelIdentity,
    /// How the model was served.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made_on: Option<MadeOn>,
    /// How the vectors were made, such as `mean-difference/response-avg`.
    pub method: String,
    /// How many responses they were made from.
    pub counts: SampleCounts,
    /// The layer to use, 1-based.
    pub best_layer: u32,
    /// Validation of each layer, starting with layer 0; empty if the vectors were not validated.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub validation: Vec<LayerValidation>,
    /// Calibration of the benign `response_avg` at each layer, starting with layer 0; empty if the
    /// vectors were not calibrated.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub calibration: Vec<Calibration>,
    /// Dose response at the best layer on held-out questions, in ascending order of coefficients;
    /// empty if it was not measured.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steering: Vec<SteeringPoint>,
    /// How to make the file again: seed, tokens, rollouts …
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub settings: BTreeMap<String, String>,
}

impl VectorMetadata {
    /// Name and version of the format.
    pub const FORMAT: &str = "personaguard.dev/persona-vector/v1";
}
