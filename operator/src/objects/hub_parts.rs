//! Parts of a pod that fetches weights from a model hub: a guarded pod, whose sidecar does, and
//! those of Jobs, in which an init container does.

use crate::objects::pod_parts::{resources, restricted_security_context};
use crate::settings::Settings;
use personaguard_api::{HubSource, ModelSource, PersonaModel, Resources, names};
use serde_json::{Value, json};

/// Name of the volume with authorities.
const CA: &str = "personaguard-hub-ca";
/// Name of the init container of Jobs.
const CONTAINER: &str = "fetch";

/// Variables that say what is fetched, for a sidecar.
pub(crate) fn source_environment(hub: &HubSource) -> Vec<Value> {
    let mut environment = vec![
        variable(names::HUB_REPO_ENV, &hub.repo),
        variable(names::HUB_REVISION_ENV, &hub.revision),
    ];
    environment.extend(hub.file.as_ref().map(|file| variable(names::HUB_FILE_ENV, file)));
    environment.extend(access_environment(hub));
    environment
}

/// Variables that say how the hub is reached.
fn access_environment(hub: &HubSource) -> Vec<Value> {
    let endpoint = hub.endpoint.as_deref().unwrap_or(names::PUBLIC_HUB);
    let mut environment = vec![variable(names::HUB_ENDPOINT_ENV, endpoint)];
    if let Some(secret) = &hub.token_secret {
        // Without the Secret the pod starts all the same, and its sidecar says what is missing.
        let source = json!({ "name": secret.name, "key": secret.key, "optional": true });
        environment.push(json!({
            "name": names::HUB_TOKEN_ENV, "valueFrom": { "secretKeyRef": source }
        }));
    }
    if let Some(proxy) = &hub.proxy {
        environment.push(variable(names::HUB_PROXY_ENV, proxy));
    }
    if hub.ca_config_map.is_some() {
        let file = format!("{}/{}", names::HUB_CA_DIR, names::CA_FILE);
        environment.push(variable(names::HUB_CA_FILE_ENV, &file));
    }
    environment.extend(hub.own_size().map(|size| variable(names::HUB_MAX_SIZE_ENV, size)));
    environment
}

/// Volumes besides the one for the weights.
pub(crate) fn volumes(hub: &HubSource) -> Vec<Value> {
    let authorities = hub.ca_config_map.as_ref().map(|map| {
        let items = json!([{ "key": map.key, "path": names::CA_FILE }]);
        json!({ "name": CA, "configMap": { "name": map.name, "items": items } })
    });
    authorities.into_iter().collect()
}

/// Mounts besides that of the weights.
pub(crate) fn mounts(hub: &HubSource) -> Vec<Value> {
    let authorities = hub.ca_config_map.as_ref();
    let mount = |_| json!({ "name": CA, "mountPath": names::HUB_CA_DIR, "readOnly": true });
    authorities.map(mount).into_iter().collect()
}

/// The init containers of a Job's pod that runs the model: one that fetches its weights into the
/// volume `weights`, if they come from a hub.
pub(crate) fn init_containers(
    settings: &Settings,
    model: &PersonaModel,
    source: &ModelSource,
    weights: &str,
    own: Option<&Resources>,
) -> Option<Vec<Value>> {
    let spec = &model.spec;
    let hub = source.hub.as_ref()?;
    let mut arguments = vec!["fetch".to_owned(), hub.repo.clone()];
    let mut option = |name: &str, value: &str| arguments.push(format!("--{name}={value}"));
    option("revision", &hub.revision);
    if let Some(file) = &hub.file {
        option("file", file);
    }
    option("to", &format!("{}/{}", names::MODEL_DIR, hub.folder()));
    option("sha256", &spec.sha256.to_string());
    let mut mounts = mounts(hub);
    mounts.push(json!({ "name": weights, "mountPath": names::MODEL_DIR }));
    Some(vec![json!({
        "name": CONTAINER,
        "image": settings.sidecar_image,
        "imagePullPolicy": settings.sidecar_image_pull_policy.as_str(),
        "args": arguments,
        "env": access_environment(hub),
        // As much as what runs after it, so that a quota is met and nothing more is taken.
        "resources": resources(&spec.runtime, own),
        "securityContext": restricted_security_context(settings.run_as_user.0),
        "volumeMounts": mounts
    })])
}

fn variable(name: &str, value: &str) -> Value {
    json!({ "name": name, "value": value })
}

#[cfg(test)]
mod tests;
