//! How Jobs start the user's own vLLM.

use super::source::{HubSecret, ImagePullPolicy};
use crate::model::Resources;
use k8s_openapi::api::core::v1::Toleration;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// vLLM as the user runs it, said once more for Jobs, which start one of their own: what the
/// Deployment's container says, and where its pods run. Personaguard's plugin is put into it
/// without a change to the image.
#[derive(JsonSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct VllmServer {
    /// Image with vLLM, as the Deployment has it. It runs as the user of Personaguard's own
    /// containers (65532, unless the chart says otherwise), not as root.
    #[schemars(length(min = 1, max = 500))]
    pub image: String,
    /// When the kubelet pulls the image. Default: `Always` for the tag `latest`, otherwise
    /// `IfNotPresent`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_pull_policy: Option<ImagePullPolicy>,
    /// Secrets that the image is pulled with, in the Job's namespace, besides those of
    /// Personaguard's own image. At most 8.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 8),
        inner(length(min = 1, max = 253)),
        extend("x-kubernetes-list-type" = "atomic")
    )]
    pub image_pull_secrets: Vec<String>,
    /// Command, as the Deployment has it. Default: the image's own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 64),
        inner(length(max = 8192)),
        extend("x-kubernetes-list-type" = "atomic")
    )]
    pub command: Vec<String>,
    /// Arguments, as the Deployment has them: what is served, quantisation, `--dtype`,
    /// `--lora-modules` …
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 128),
        inner(length(max = 8192)),
        extend("x-kubernetes-list-type" = "atomic")
    )]
    pub args: Vec<String>,
    /// Environment variables, at most 64. `PERSONAGUARD_…` are set by the Job.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 64),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"])
    )]
    pub env: Vec<VllmVariable>,
    /// Port on which it listens, by its arguments or by default.
    #[serde(default = "default_port")]
    #[schemars(range(min = 1, max = 65_535))]
    pub port: u16,
    /// Name there of the model, or of the LoRA adapter, that Jobs ask. Default: the first that it
    /// lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub model: Option<String>,
    /// Volumes with weights, at most 16. `/tmp` and `/dev/shm` are there already, and are writable.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 16),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["mountPath"])
    )]
    pub volumes: Vec<VllmVolume>,
    /// Requests and limits, as the Deployment has them, GPUs among them: `{limits:
    /// {nvidia.com/gpu: "1"}}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
    /// Labels of the nodes on which it can run.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub node_selector: BTreeMap<String, String>,
    /// Taints of those nodes that it tolerates, at most 16.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "atomic"))]
    pub tolerations: Vec<Toleration>,
}

fn default_port() -> u16 {
    8000
}

/// An environment variable of vLLM.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[x_kube(
    validation = (
        "has(self.value) != has(self.valueFrom)",
        "give either value or valueFrom of a variable"
    ),
    validation = (
        "!self.name.startsWith('PERSONAGUARD_')",
        "variables PERSONAGUARD_… are set by the Job: leave them out"
    ),
    validation = (
        "has(self.value) || !(self.name in ['PYTHONPATH', 'VLLM_PLUGINS'])",
        "the plugin is added to PYTHONPATH and VLLM_PLUGINS: give them as value"
    )
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct VllmVariable {
    /// Its name.
    #[schemars(length(min = 1, max = 128), regex(pattern = r"^[A-Za-z_][A-Za-z0-9_]*$"))]
    pub name: String,
    /// Its value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub value: Option<String>,
    /// Where its value is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value_from: Option<VllmVariableSource>,
}

/// Where the value of a variable is.
#[derive(JsonSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct VllmVariableSource {
    /// A key in a Secret of the Job's namespace, such as a hub's token.
    pub secret_key_ref: HubSecret,
}

/// A volume of vLLM's.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[x_kube(
    validation = (
        "has(self.claimName) != has(self.image)",
        "give either claimName or image of a volume"
    ),
    validation = (
        "!(self.mountPath in ['/tmp', '/dev/shm']) && \
         !(self.mountPath + '/').startsWith('/run/personaguard/')",
        "/tmp, /dev/shm and /run/personaguard are the Job's own: mount it elsewhere"
    )
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct VllmVolume {
    /// Where it is mounted.
    #[schemars(length(min = 2, max = 500), regex(pattern = r"^(/[^/:\s]+)+$"))]
    pub mount_path: String,
    /// A PersistentVolumeClaim of the Job's namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub claim_name: Option<String>,
    /// An OCI image whose file system is mounted: `registry.example/models/qwen:1`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 500))]
    pub image: Option<String>,
    /// Whether it is only read. A hub's cache into which vLLM fetches weights is not.
    #[serde(default = "default_read_only")]
    pub read_only: bool,
}

fn default_read_only() -> bool {
    true
}
