//! `PersonaVector`: one trait's direction in one exact model.

use crate::quantity::{Digest, Layer};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::CustomResource;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A persona vector: for one trait and one exact model, the mean activation of responses that show the trait minus the
/// mean of those that don't, per layer.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "personaguard.dev",
    version = "v1alpha1",
    kind = "PersonaVector",
    plural = "personavectors",
    shortname = "pvec",
    category = "personaguard",
    derive = "PartialEq",
    doc = "A persona vector: the direction of one trait in the activations of one exact model.",
    cel,
    validation = ("self.metadata.name.size() <= 63", "the name of a PersonaVector has at most 63 characters: it becomes a label of metrics"),
    status = "PersonaVectorStatus",
    printcolumn(name = "Trait", type_ = "string", json_path = ".spec.trait"),
    printcolumn(name = "Model", type_ = "string", json_path = ".spec.model"),
    printcolumn(name = "Layer", type_ = "integer", json_path = ".status.layer"),
    printcolumn(name = "AUROC", type_ = "string", json_path = ".status.auroc"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].reason",
        priority = 1
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PersonaVectorSpec {
    /// The trait: `evil`, `sycophantic`, `hallucinating` …
    #[serde(rename = "trait")]
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub trait_name: String,
    /// The trait in plain words.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2000))]
    pub description: Option<String>,
    /// Name of the `PersonaModel` whose activations the vector lives in.
    #[schemars(length(min = 1, max = 253))]
    pub model: String,
    /// Where the vector file is.
    pub artifact: ArtifactSource,
    /// SHA-256 of the vector file.
    pub sha256: Digest,
    /// Layer to use, 1-based (0 is the embedding output). Default: the one that the file names as best.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub layer: Option<Layer>,
}

/// Where a vector file is.
#[derive(JsonSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ArtifactSource {
    /// A ConfigMap that holds the file in `binaryData`.
    pub config_map: ConfigMapArtifact,
}

/// A vector file in a ConfigMap.
#[derive(JsonSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ConfigMapArtifact {
    /// Namespace of the ConfigMap. Default: the operator's.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub namespace: Option<String>,
    /// Name of the ConfigMap.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Key of the file in `binaryData`.
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}

/// What was read from a vector file and checked.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PersonaVectorStatus {
    /// Generation that this status speaks of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Layer in use, 1-based.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layer: Option<Layer>,
    /// L2 norm of the raw vector at that layer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub norm: Option<f64>,
    /// How the vector was extracted: `mean-difference/response-avg` …
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// Responses that went into the vector.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub samples: Option<SampleCounts>,
    /// Area under the ROC curve on held-out questions at that layer, 0 to 1 with three decimals.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auroc: Option<String>,
    /// Distribution of `response_avg` over benign traffic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calibration: Option<Calibration>,
    /// SHA-256 of the weight file that the vector was extracted from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model_digest: Option<Digest>,
    /// `Ready`: the file is the one named, fits the model and has the layer.
    #[serde(default)]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

/// Responses that went into a vector.
#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SampleCounts {
    /// Responses that show the trait.
    pub positive: u32,
    /// Responses that don't.
    pub negative: u32,
}

/// The distribution of a projection over benign traffic of one (model, system prompt).
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Calibration {
    /// Responses in the sample.
    pub count: u32,
    /// Their mean projection.
    pub mean: f64,
    /// Their standard deviation (n − 1).
    pub standard_deviation: f64,
    /// The projections in rising order, thinned to at most 1,001 evenly spaced order statistics (first and last kept).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sorted: Vec<f64>,
}
