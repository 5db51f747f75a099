//! `DatasetScreen`: training data screened for what it would do to a model.

use crate::model::Resources;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::CustomResource;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A data set on a PersistentVolumeClaim, screened by projection difference in a Job: how far each
/// sample would move a model along a trait. It runs once; to screen again, create another.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "personaguard.dev",
    version = "v1alpha1",
    kind = "DatasetScreen",
    plural = "datasetscreens",
    shortname = "dscreen",
    category = "personaguard",
    derive = "PartialEq",
    doc = "A data set on a PersistentVolumeClaim, screened by projection difference in a Job.",
    namespaced,
    cel,
    validation = (
        "self.metadata.name.size() <= 40",
        "the name of a DatasetScreen has at most 40 characters: its Jobs are named after it"
    ),
    status = "DatasetScreenStatus",
    printcolumn(name = "Model", type_ = "string", json_path = ".spec.model"),
    printcolumn(name = "Shards", type_ = "string", json_path = ".status.shards"),
    printcolumn(name = "Samples", type_ = "integer", json_path = ".status.samples"),
    printcolumn(
        name = "Complete",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Complete\")].status"
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Complete\")].reason"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[x_kube(validation = (
    "self == oldSelf",
    "a DatasetScreen runs once: create another one instead of editing it"
))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DatasetScreenSpec {
    /// Name of the `PersonaModel` that is to be trained. Its weights are mounted in this namespace.
    #[schemars(length(min = 1, max = 63))]
    pub model: String,
    /// Names of `PersonaVector`s of that model, 1 to 16.
    #[schemars(length(min = 1, max = 16), inner(length(min = 1, max = 63)))]
    pub vectors: Vec<String>,
    /// The data set: JSON lines, `{"messages": [… , {"role": "assistant", "content": "…"}]}` each.
    pub dataset: DatasetSource,
    /// Path of the file of ranks to write, inside the same volume: one JSON object for each sample,
    /// without text. A page with plots is written beside it, as `.html`.
    #[schemars(length(min = 1, max = 500), regex(pattern = r"^[^/\s$]+(/[^/\s$]+)*$"))]
    pub output: String,
    /// What an answer is compared with.
    #[serde(default)]
    pub reference: Reference,
    /// Also measure how much likelier the model finds each answer under system prompts that ask for
    /// the trait than under opposite ones. This finds more, and takes about five times as long.
    /// Only for built-in traits.
    #[serde(default)]
    pub contrast: bool,
    /// Longest answer that the model gives itself, in tokens, 1 to 4096.
    #[serde(default = "default_tokens")]
    #[schemars(range(min = 1, max = 4096))]
    pub tokens: u32,
    /// Leave out samples that cannot be read, and count them in `status.skipped`; the Job's log
    /// says which, and why. Default: the first one ends the screening.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub skip_invalid: bool,
    /// Pods among which the work is divided, 1 to 256. More than one pod needs a volume that all of
    /// them can mount.
    #[serde(default = "default_shards")]
    #[schemars(range(min = 1, max = 256))]
    pub shards: u32,
    /// Requests and limits of the Job's container. Default: those of the model's sidecars; where
    /// vLLM runs the model, which has resources of its own (`vllm.resources` of the model), none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
}

fn default_tokens() -> u32 {
    128
}

fn default_shards() -> u32 {
    1
}

/// A data set on a PersistentVolumeClaim in the namespace.
#[derive(JsonSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DatasetSource {
    /// Name of the claim. It is mounted writable, because the ranks are written there, too.
    #[schemars(length(min = 1, max = 253))]
    pub claim_name: String,
    /// Path of the file inside the volume, without a leading slash.
    #[schemars(length(min = 1, max = 500), regex(pattern = r"^[^/\s$]+(/[^/\s$]+)*$"))]
    pub path: String,
}

/// What a sample's answer is compared with.
#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reference {
    /// The answer that the model itself gives, as in the paper. Costs a generation for each sample.
    #[default]
    OwnAnswer,
    /// The projection at the last prompt token, which predicts that of the answer. Costs nothing.
    PromptLast,
    /// Nothing: the answer's own projection counts.
    Nothing,
}

impl Reference {
    /// As `personaguard screen --reference` takes it.
    #[must_use]
    pub fn argument(self) -> &'static str {
        match self {
            Self::OwnAnswer => "own-answer",
            Self::PromptLast => "prompt-last",
            Self::Nothing => "nothing",
        }
    }
}

/// The progress of a screening.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DatasetScreenStatus {
    /// Generation of the spec that this status describes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// How many pods have done their part: `2/4`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shards: Option<String>,
    /// Samples in the file of ranks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub samples: Option<u64>,
    /// With `skipInvalid`: samples that were left out because they cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skipped: Option<u64>,
    /// `Complete`: the ranks are written.
    #[serde(default)]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}
