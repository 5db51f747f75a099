//! `PersonaVector`: one trait's direction in one exact model.

use crate::model::Resources;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::CustomResource;
use kube::KubeSchema;
use personaguard_terms::{Digest, Layer};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A persona vector. For one trait and one exact model it holds, for each layer, the mean
/// activation of responses that show the trait minus that of responses that do not.
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
    validation = (
        "self.metadata.name.size() <= 63",
        "the name of a PersonaVector has at most 63 characters: it becomes a label of metrics"
    ),
    status = "PersonaVectorStatus",
    printcolumn(name = "Trait", type_ = "string", json_path = ".spec.trait"),
    printcolumn(name = "Model", type_ = "string", json_path = ".spec.model"),
    printcolumn(name = "Layer", type_ = "integer", json_path = ".status.layer"),
    printcolumn(name = "AUROC", type_ = "string", json_path = ".status.auroc"),
    printcolumn(name = "Progress", type_ = "string", json_path = ".status.progress"),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status"
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].reason",
        priority = 1
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[x_kube(
    validation = (
        "has(self.artifact) == has(self.sha256)",
        "artifact and sha256 go together: give both for a vector file that exists, and neither \
         for a vector that is to be extracted"
    ),
    validation = (
        "!has(self.artifact) || !has(self.extraction)",
        "give artifact (a vector file that exists) or extraction (how to make one), not both"
    ),
    validation = (
        "has(self.artifact) || has(self.description) || self.trait in ['apathetic', 'evil', \
         'hallucinating', 'humorous', 'impolite', 'optimistic', 'sycophantic']",
        "describe the trait in description: it is not one of the built-in ones (apathetic, evil, \
         hallucinating, humorous, impolite, optimistic, sycophantic)"
    ),
    validation = (
        "!has(self.extraction) || self.extraction.shards == 1 || self.trait in ['apathetic', \
         'evil', 'hallucinating', 'humorous', 'impolite', 'optimistic', 'sycophantic']",
        "the prompts for a trait that is only described are written by the pod that extracts it, \
         so there can be only one: leave extraction.shards out"
    ),
    validation = (
        "!has(self.extraction) || self.extraction.shards == 1 || has(self.extraction.workspace)",
        "pods that share an extraction exchange their parts on a volume: name a claim that all of \
         them can mount in extraction.workspace"
    )
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
    /// Name of the `PersonaModel` that the vector belongs to.
    #[schemars(length(min = 1, max = 253))]
    pub model: String,
    /// Where the vector file is. If this is left out, a Job extracts the vector from the model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub artifact: Option<ArtifactSource>,
    /// SHA-256 of the file that `artifact` names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Digest>,
    /// How the Job extracts the vector, if `artifact` is left out. Default: as in the paper, with
    /// one answer to each question.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extraction: Option<Extraction>,
    /// Use the vector even if it separates held-out answers no better than chance (reason
    /// `NotDiscriminative`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub allow_not_discriminative: bool,
    /// Steer by the vector even if the text of answers does not follow it at each step (reason
    /// `DoesNotSteer`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub allow_not_steering: bool,
    /// Layer to use, from 1 (0 is the embedding output). Default: the best one, according to the
    /// file.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub layer: Option<Layer>,
}

/// How a Job extracts a vector.
#[derive(JsonSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Extraction {
    /// Longest answer in tokens, 8 to 2048.
    #[schemars(range(min = 8, max = 2048))]
    pub tokens: u32,
    /// Questions to extract from, 2 to 20. The same number of other questions is held out.
    #[schemars(range(min = 2, max = 20))]
    pub questions: u32,
    /// Answers to each question under each system prompt, 1 to 100. The paper takes 10.
    #[schemars(range(min = 1, max = 100))]
    pub rollouts: u32,
    /// Pods among which the answers are divided, 1 to 64. The vector does not depend on it. More
    /// than one pod needs `workspace`.
    #[schemars(range(min = 1, max = 64))]
    pub shards: u32,
    /// Where answers are kept during the extraction. Default: in the pod; if the pod is lost, the
    /// extraction starts over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workspace: Option<Workspace>,
    /// An OpenAI-compatible endpoint that writes the prompts for a described trait, and judges
    /// whether answers show the trait. Without one, the model itself writes the prompts, and the
    /// separation of held-out answers replaces the judge.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<JudgeEndpoint>,
    /// Seed: the same seed, model and settings give the same vector.
    pub seed: u32,
    /// Requests and limits of the Job's container. Default: those of the model's sidecars; where
    /// vLLM runs the model, which has resources of its own (`vllm.resources` of the model), none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
}

impl Default for Extraction {
    fn default() -> Self {
        Self {
            tokens: 48,
            questions: 20,
            rollouts: 1,
            shards: 1,
            workspace: None,
            endpoint: None,
            seed: 1,
            resources: None,
        }
    }
}

/// A volume in the operator's namespace.
#[derive(JsonSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Workspace {
    /// Name of a PersistentVolumeClaim that user 65532 can write to.
    #[schemars(length(min = 1, max = 253))]
    pub claim_name: String,
}

/// An OpenAI-compatible endpoint. It receives the prompts and answers of the extraction, and never
/// traffic of guarded services.
#[derive(JsonSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct JudgeEndpoint {
    /// Its URL, including `/v1`: `https://llm.example/v1`. It must support logprobs.
    #[schemars(length(min = 1, max = 2000), regex(pattern = r"^https?://[^\s/]+(/[^\s]*)?$"))]
    pub url: String,
    /// Model to ask there.
    #[schemars(length(min = 1, max = 253))]
    pub model: String,
    /// Its key, in a Secret in the operator's namespace with the label
    /// `personaguard.dev/endpoint-key: "true"`. Default: no key is sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_secret: Option<KeySecret>,
}

/// A key in a Secret. The kubelet hands it to the Job's pod; the operator never reads it.
#[derive(JsonSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KeySecret {
    /// Name of the Secret.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Key in the Secret.
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
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

/// What the vector file says, once it has been read and checked.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PersonaVectorStatus {
    /// Generation of the spec that this status describes.
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
    /// How answers to held-out questions change when the vector is added at that layer with rising
    /// coefficients. Empty if the file does not say.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub steering: Vec<SteeringStep>,
    /// Distribution of `response_avg` over benign traffic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calibration: Option<Calibration>,
    /// SHA-256 of the weight file that the vector was extracted from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model_digest: Option<Digest>,
    /// SHA-256 of the vector file in use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// During the extraction, how many of its answers have been generated: `120/548`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress: Option<String>,
    /// `Ready`: the file is the one that the spec names, fits the model, and has the layer; as far
    /// as the file says, the vector separates answers by the trait and steers them. `Steers`:
    /// answers follow the vector at each step of `steering`.
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
    /// Responses that do not.
    pub negative: u32,
}

/// Answers that were steered with one coefficient, as the unsteered model reads them.
#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SteeringStep {
    /// Coefficient α of the raw vector.
    pub coefficient: f64,
    /// Mean `response_avg` without a system prompt.
    pub response_avg: f64,
    /// How much likelier the answers are under system prompts that ask for the trait than under
    /// opposite ones: mean log-likelihood ratio, in nats per token.
    pub likelihood_ratio: f64,
    /// Number of answers.
    pub answers: u32,
}

/// The distribution of a projection over benign traffic of one (model, system prompt).
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Calibration {
    /// Responses in the sample.
    pub count: u32,
    /// Their mean projection.
    pub mean: f64,
    /// Their standard deviation (with n − 1).
    pub standard_deviation: f64,
    /// The projections in rising order. If there are more than 1,001, only that many are kept:
    /// evenly spaced ones, with the first and the last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sorted: Vec<f64>,
}
