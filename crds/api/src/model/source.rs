//! Where a model's weights come from.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where the weights come from. Exactly one field.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[x_kube(validation = (
    "[has(self.image), has(self.persistentVolumeClaim), has(self.hub)].exists_one(it, it)",
    "give exactly one source: image, persistentVolumeClaim or hub"
))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ModelSource {
    /// An OCI image whose file system holds the weights, mounted read-only as an image volume.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<ImageSource>,
    /// A PersistentVolumeClaim, which must exist under this name in every guarded namespace. It is
    /// mounted read-only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub persistent_volume_claim: Option<PersistentVolumeClaimSource>,
    /// A repository of a model hub. The first start of a sidecar, or of a Job, fetches the weights
    /// into a volume of the pod, and checks them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hub: Option<HubSource>,
}

impl ModelSource {
    /// Path of the weights inside the source.
    #[must_use]
    pub fn path(&self) -> String {
        match (&self.image, &self.persistent_volume_claim, &self.hub) {
            (Some(image), _, _) => image.path.clone(),
            (None, Some(claim), _) => claim.path.clone(),
            (None, None, Some(hub)) => hub.path(),
            (None, None, None) => String::new(),
        }
    }
}

/// Weights in an OCI image.
#[derive(JsonSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ImageSource {
    /// Image reference, as in a pod: `registry.example/models/smollm2:1`.
    #[schemars(length(min = 1, max = 500))]
    pub reference: String,
    /// When the kubelet pulls the image. Default: `Always` for the tag `latest`, otherwise
    /// `IfNotPresent`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pull_policy: Option<ImagePullPolicy>,
    /// Path of the weight file inside the image, without a leading slash: `model.gguf`.
    #[schemars(length(min = 1, max = 500), regex(pattern = r"^[^/\s]+(/[^/\s]+)*$"))]
    pub path: String,
}

/// When the kubelet pulls an image.
#[derive(JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum ImagePullPolicy {
    Always,
    IfNotPresent,
    Never,
}

/// Weights in a PersistentVolumeClaim of the guarded namespace.
#[derive(JsonSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PersistentVolumeClaimSource {
    /// Name of the claim.
    #[schemars(length(min = 1, max = 253))]
    pub claim_name: String,
    /// Path of the weight file inside the volume, without a leading slash.
    #[schemars(length(min = 1, max = 500), regex(pattern = r"^[^/\s]+(/[^/\s]+)*$"))]
    pub path: String,
}

/// Weights in a repository of a model hub.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[x_kube(validation = (
    "!has(self.claimName) || !has(self.sizeLimit)",
    "sizeLimit is that of the pod's own volume: leave out sizeLimit or claimName"
))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HubSource {
    /// The repository, as `OWNER/NAME`.
    #[schemars(
        length(min = 1, max = 200),
        regex(pattern = r"^[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)?$")
    )]
    pub repo: String,
    /// A commit (40 hex digits), which is always the same; or a branch or a tag. Whatever it is,
    /// only weights with the model's `sha256` are served.
    #[schemars(
        length(min = 1, max = 200),
        regex(pattern = r"^[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*$")
    )]
    pub revision: String,
    /// A GGUF file of the repository. Default: its folder, of which config.json, the files of the
    /// tokenizer and of chat templates, and the safetensors are fetched.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 300),
        regex(pattern = r"^[^/\\\s.][^/\\\s]*(/[^/\\\s.][^/\\\s]*)*\.(gguf|GGUF)$")
    )]
    pub file: Option<String>,
    /// URL of the hub, or of a mirror of it. Default: `https://huggingface.co`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 500), regex(pattern = r"^https?://[^\s@]+$"))]
    pub endpoint: Option<String>,
    /// URL of the proxy by which the hub is reached. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 500), regex(pattern = r"^https?://\S+$"))]
    pub proxy: Option<String>,
    /// Token for a repository that not everybody may read, in a Secret of each guarded namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_secret: Option<HubSecret>,
    /// Authorities (PEM) that the hub or its proxy may present besides the public ones, in a
    /// ConfigMap of each guarded namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_config_map: Option<HubConfigMap>,
    /// A PersistentVolumeClaim, which must exist under this name in every guarded namespace and be
    /// writable. The weights are fetched into it once for all pods that mount it. Default: each pod
    /// fetches them into a volume of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub claim_name: Option<String>,
    /// Size of the pod's own volume (an emptyDir on the node's disk). A larger model is not
    /// fetched. Default: `20Gi`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 20), regex(pattern = r"^[1-9][0-9]*(Ki|Mi|Gi|Ti|k|M|G|T)?$"))]
    pub size_limit: Option<String>,
}

/// A key in a Secret of the guarded namespace. The kubelet hands it to the sidecar; the operator
/// never reads it.
#[derive(JsonSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HubSecret {
    /// Name of the Secret. It begins with `personaguard-hub`, so that no model names a Secret that
    /// is there for something else.
    #[schemars(
        length(max = 253),
        regex(pattern = r"^personaguard-hub([-.][a-z0-9]([a-z0-9.-]*[a-z0-9])?)?$")
    )]
    pub name: String,
    /// Key in the Secret.
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}

/// A key in a ConfigMap of the guarded namespace.
#[derive(JsonSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HubConfigMap {
    /// Name of the ConfigMap.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Key in the ConfigMap.
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}

impl HubSource {
    /// Size of the pod's own volume where none is given.
    const SIZE_LIMIT: &str = "20Gi";

    /// The folder into which it is fetched, in the volume: no two repositories or revisions share
    /// one.
    #[must_use]
    pub fn folder(&self) -> String {
        format!("{}@{}", self.repo.replace('/', "--"), self.revision.replace('/', "--"))
    }

    /// Size of the pod's own volume; none where the weights are in a claim.
    #[must_use]
    pub fn own_size(&self) -> Option<&str> {
        match self.claim_name {
            Some(_) => None,
            None => Some(self.size_limit.as_deref().unwrap_or(Self::SIZE_LIMIT)),
        }
    }

    fn path(&self) -> String {
        match &self.file {
            Some(file) => format!("{}/{file}", self.folder()),
            None => self.folder(),
        }
    }
}
