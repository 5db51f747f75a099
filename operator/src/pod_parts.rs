//! Parts that every pod has in which a model runs: a guarded pod's sidecar, and Jobs. Pure.

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use personaguard_api::{Device, ModelSource, Resources, Runtime, names};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// User and group: `nonroot`, as in distroless images.
pub(crate) const USER: u32 = 65532;
/// Seconds for which the projected token is good; the kubelet renews it.
const TOKEN_SECONDS: u32 = 3600;
/// GPUs, as nodes offer them.
const GPU: &str = "nvidia.com/gpu";

/// Security context of a container that needs no rights at all.
pub(crate) fn confined() -> Value {
    json!({
        "runAsNonRoot": true,
        "runAsUser": USER,
        "runAsGroup": USER,
        "allowPrivilegeEscalation": false,
        "readOnlyRootFilesystem": true,
        "capabilities": { "drop": ["ALL"] },
        "seccompProfile": { "type": "RuntimeDefault" }
    })
}

/// Resources of a container: the model's own where none are given, and its GPUs in any case.
pub(crate) fn resources(runtime: &Runtime, given: Option<&Resources>) -> Value {
    let given = given.or(runtime.resources.as_ref()).cloned().unwrap_or_default();
    let mut limits: BTreeMap<String, Quantity> = given.limits;
    if runtime.device == Device::Cuda {
        limits
            .entry(GPU.to_owned())
            .or_insert_with(|| Quantity(runtime.gpus.unwrap_or(1).to_string()));
    }
    let mut resources = json!({});
    if !given.requests.is_empty() {
        resources["requests"] = json!(given.requests);
    }
    if !limits.is_empty() {
        resources["limits"] = json!(limits);
    }
    resources
}

/// Volume with the token by which the operator knows the pod, in file `token`.
pub(crate) fn token(name: &str) -> Value {
    json!({ "name": name, "projected": { "sources": [{ "serviceAccountToken": {
        "path": "token", "audience": names::TOKEN_AUDIENCE, "expirationSeconds": TOKEN_SECONDS
    } }] } })
}

/// Volume with the weights.
pub(crate) fn weights(name: &str, source: &ModelSource) -> Value {
    match (&source.image, &source.persistent_volume_claim) {
        (Some(image), _) => {
            let mut volume = json!({ "name": name, "image": { "reference": image.reference } });
            if let Some(policy) = image.pull_policy {
                volume["image"]["pullPolicy"] = json!(policy);
            }
            volume
        }
        (None, Some(claim)) => {
            json!({ "name": name, "persistentVolumeClaim": { "claimName": claim.claim_name, "readOnly": true } })
        }
        // The API server refuses such a model.
        (None, None) => json!({ "name": name, "emptyDir": {} }),
    }
}
