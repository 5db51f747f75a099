//! `PersonaModel`: which engine runs a model, where its weights come from, and how a sidecar runs
//! it.

mod engine;
mod source;
mod vllm;

pub use engine::ModelEngine;
pub use source::{
    HubConfigMap, HubSecret, HubSource, ImagePullPolicy, ImageSource, ModelSource,
    PersistentVolumeClaimSource,
};
pub use vllm::{VllmServer, VllmVariable, VllmVariableSource, VllmVolume};

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::CustomResource;
use kube::KubeSchema;
use personaguard_terms::{Device, Digest};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A language model that sidecars serve, or guard in vLLM: where its weights come from, their
/// digest, and how to run it.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "personaguard.dev",
    version = "v1alpha1",
    kind = "PersonaModel",
    plural = "personamodels",
    shortname = "pm",
    category = "personaguard",
    derive = "PartialEq",
    doc = "A language model that sidecars serve, or guard in vLLM: where its weights come from, \
           their SHA-256, and how to run it.",
    cel,
    validation = (
        "self.metadata.name.size() <= 63",
        "the name of a PersonaModel has at most 63 characters: it becomes a label"
    ),
    status = "PersonaModelStatus",
    printcolumn(name = "Engine", type_ = "string", json_path = ".spec.engine"),
    printcolumn(name = "Device", type_ = "string", json_path = ".spec.runtime.device"),
    printcolumn(name = "Context", type_ = "integer", json_path = ".spec.runtime.contextLength"),
    printcolumn(name = "Sidecars", type_ = "integer", json_path = ".status.sidecars"),
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
        "self.engine != 'Own' || has(self.source)",
        "sidecars read the weights where engine is Own: give their source"
    ),
    validation = (
        "self.engine != 'Vllm' || !has(self.source)",
        "vLLM reads the weights where engine is Vllm, and no sidecar does: leave source out"
    ),
    validation = (
        "self.engine == 'Vllm' || !has(self.vllm)",
        "vllm says how Jobs start vLLM, where engine is Vllm: leave it out"
    ),
    validation = (
        "self.engine == oldSelf.engine",
        "engine cannot be changed, as pods are injected for it: create another PersonaModel"
    )
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PersonaModelSpec {
    /// Which engine runs the model. `Own`: Personaguard's, in the sidecar, which loads the weights
    /// (placements `Serve` and `Proxy`). `Vllm`: the user's own vLLM, with Personaguard's plugin in
    /// it (placement `Engine`). Cannot be changed.
    #[serde(default)]
    pub engine: ModelEngine,
    /// Where the weights come from, with engine `Own`. Exactly one of `image`,
    /// `persistentVolumeClaim` and `hub`. With engine `Vllm` vLLM has them, and this is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<ModelSource>,
    /// With engine `Vllm`, how Jobs start a vLLM of their own, for a PersonaVector without a file
    /// and for a DatasetScreen. Without it, vectors are made by hand and imported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vllm: Option<VllmServer>,
    /// SHA-256 of the weights: of the GGUF file, or of a folder of safetensors as `personaguard
    /// fetch` prints it. Others are not served; with engine `Vllm`, not guarded.
    pub sha256: Digest,
    /// Other names by which apps may ask for it in placement Serve, such as `gpt-4o-mini`, at most
    /// 16. Answers have the PersonaModel's own name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 16),
        inner(regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,127}$")),
        extend("x-kubernetes-list-type" = "set")
    )]
    pub aliases: Vec<String>,
    /// How sidecars run the model. With engine `Vllm` they do not: only `maxRequestBytes`,
    /// `scoringDeadlineSeconds` and `resources` mean anything there.
    #[serde(default)]
    pub runtime: Runtime,
}

/// How a sidecar runs the model.
#[derive(JsonSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "self.device == 'Cuda' || !has(self.gpus)",
    "message": "gpus goes with device Cuda: set device: Cuda, or leave gpus out"
}]))]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Runtime {
    /// Device on which the model runs: `Cpu`, or `Cuda` (an NVIDIA GPU; needs a sidecar image built
    /// with the `cuda` feature).
    pub device: Device,
    /// GPUs (`nvidia.com/gpu`) that each sidecar requests, 1 to 16, with device Cuda only.
    /// Default: 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 16))]
    pub gpus: Option<u32>,
    /// Longest context in tokens, prompt and answer together, 64 to 1048576. If the model's own
    /// limit is lower, that one holds.
    #[schemars(range(min = 64, max = 1_048_576))]
    pub context_length: u32,
    /// Requests that one sidecar runs at the same time, 1 to 256. More wait in a bounded queue.
    #[schemars(range(min = 1, max = 256))]
    pub max_concurrent: u32,
    /// Longest request body in bytes, 64 KiB to 64 MiB (65536 to 67108864). Longer ones are
    /// refused.
    #[schemars(range(min = 65_536, max = 67_108_864))]
    pub max_request_bytes: u32,
    /// In front of another server: longest time in seconds for scoring one piece of an answer, 1 to
    /// 600. Past it the piece counts as not scored, by a fault. Reading the prompt does not count.
    #[schemars(range(min = 1, max = 600))]
    pub scoring_deadline_seconds: u32,
    /// CPU threads for the decoder. Default: the container's CPU limit, or without one every core
    /// that it may use.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 256))]
    pub threads: Option<u32>,
    /// Requests and limits of the sidecar container.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
}

/// Requests and limits of a container.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Resources {
    /// What the node must have free, by resource name: `{cpu: "1", memory: 1Gi}`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub requests: BTreeMap<String, Quantity>,
    /// The most that the container may use, by resource name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub limits: BTreeMap<String, Quantity>,
}

impl Default for Runtime {
    fn default() -> Self {
        Self {
            device: Device::Cpu,
            gpus: None,
            context_length: 4096,
            max_concurrent: 8,
            max_request_bytes: 4 << 20,
            scoring_deadline_seconds: 10,
            threads: None,
            resources: None,
        }
    }
}

/// What is known about a model.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PersonaModelStatus {
    /// Generation of the spec that this status describes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Sidecars that have reported that they loaded exactly this model.
    #[serde(default)]
    pub sidecars: u32,
    /// Which weights sidecars of this model have loaded. They stay loaded until the pod is
    /// replaced, so there may be former ones.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["sha256"]))]
    pub loaded: Vec<LoadedWeights>,
    /// `Ready`: sidecars load and serve the model.
    #[serde(default)]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

/// How many sidecars have a weight file loaded.
#[derive(JsonSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LoadedWeights {
    /// SHA-256 of the weight file.
    #[schemars(with = "String")] // a Digest's rule would cost too much in an unbounded list
    pub sha256: Digest,
    /// Number of pods.
    pub pods: u32,
}
