//! Parts of every pod in which a model runs: guarded pods and those of Jobs.

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use personaguard_api::{Device, ModelSource, Resources, Runtime, names};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Lifetime of the projected token in seconds. The kubelet renews it.
const TOKEN_SECONDS: u32 = 3600;
/// Resource name of GPUs.
const GPU: &str = "nvidia.com/gpu";

/// Security context of a container that needs no privileges. Without a user, the platform or the
/// image says which.
pub(crate) fn restricted_security_context(user: Option<u32>) -> Value {
    let mut context = json!({
        "runAsNonRoot": true,
        "allowPrivilegeEscalation": false,
        "readOnlyRootFilesystem": true,
        "capabilities": { "drop": ["ALL"] },
        "seccompProfile": { "type": "RuntimeDefault" }
    });
    if let Some(user) = user {
        context["runAsUser"] = json!(user);
        context["runAsGroup"] = json!(user);
    }
    context
}

/// Security context of a Job's pod, whose volumes its group may write.
pub(crate) fn job_security_context(user: Option<u32>) -> Value {
    match user {
        Some(group) => json!({ "fsGroup": group, "fsGroupChangePolicy": "OnRootMismatch" }),
        None => json!({}),
    }
}

/// Secrets of these names, as a pod lists those that its images are pulled with, if it has any.
pub(crate) fn pull_secrets(names: &[String]) -> Option<Vec<Value>> {
    let secrets: Vec<Value> = names.iter().map(|name| json!({ "name": name })).collect();
    (!secrets.is_empty()).then_some(secrets)
}

/// Resources of a container: `own`, or else those of the model; the model's GPUs in any case.
pub(crate) fn resources(runtime: &Runtime, own: Option<&Resources>) -> Value {
    let given = own.or(runtime.resources.as_ref()).cloned().unwrap_or_default();
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

/// Volume with the token that identifies the pod to the operator, as file `token`.
pub(crate) fn token_volume(name: &str) -> Value {
    json!({ "name": name, "projected": { "sources": [{ "serviceAccountToken": {
        "path": "token", "audience": names::TOKEN_AUDIENCE, "expirationSeconds": TOKEN_SECONDS
    } }] } })
}

/// Volume with the weights.
pub(crate) fn weights_volume(name: &str, source: &ModelSource) -> Value {
    match (&source.image, &source.persistent_volume_claim, &source.hub) {
        (Some(image), _, _) => {
            let mut volume = json!({ "name": name, "image": { "reference": image.reference } });
            if let Some(policy) = image.pull_policy {
                volume["image"]["pullPolicy"] = json!(policy);
            }
            volume
        }
        (None, Some(claim), _) => {
            let claim = json!({ "claimName": claim.claim_name, "readOnly": true });
            json!({ "name": name, "persistentVolumeClaim": claim })
        }
        (None, None, Some(hub)) => match hub.own_size() {
            Some(size) => json!({ "name": name, "emptyDir": { "sizeLimit": size } }),
            // It is filled by the pod that comes first.
            None => {
                json!({ "name": name, "persistentVolumeClaim": { "claimName": hub.claim_name } })
            }
        },
        // The API server refuses such a model.
        (None, None, None) => json!({ "name": name, "emptyDir": {} }),
    }
}
