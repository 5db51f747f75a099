//! Parts of a Job's pod that runs the user's own vLLM beside what asks it. Pure.

use crate::objects::pod_parts::restricted_security_context;
use crate::settings::Settings;
use personaguard_api::{VllmServer, VllmVolume, names};
use serde_json::{Value, json};

/// Name of vLLM's container.
pub(crate) const CONTAINER: &str = "vllm";
/// Name of the container that writes the plugin.
const PLUGIN_CONTAINER: &str = "plugin";
/// Names of volumes: what is scratch to vLLM, and what its processes share.
const SCRATCH: &str = "vllm-scratch";
const SHARED_MEMORY: &str = "vllm-shm";
const SCRATCH_DIR: &str = "/tmp";
const SHARED_MEMORY_DIR: &str = "/dev/shm";
/// Environment variable by which the plugin tells states.
const STATES_ENV: &str = "PERSONAGUARD_STATES";
/// Environment variable with vLLM's key, as vLLM knows it and as our commands do.
const KEY_ENV: &str = "VLLM_API_KEY";
const OUR_KEY_ENV: &str = "PERSONAGUARD_ENGINE_KEY";
/// How many seconds a vLLM may take from its start to the connection of the plugin: weights of some
/// hundred gigabytes come from a network.
const WAIT_SECONDS: u32 = 3600;

/// Options by which a command asks this vLLM.
pub(super) fn arguments(server: &VllmServer) -> Vec<String> {
    let mut arguments = vec![
        format!("--engine=http://127.0.0.1:{}", server.port),
        format!("--engine-socket={}", names::ENGINE_SOCKET),
        format!("--engine-wait={WAIT_SECONDS}"),
    ];
    arguments.extend(server.model.as_ref().map(|model| format!("--engine-model={model}")));
    arguments
}

/// Variables of the container that asks it: the key, if vLLM has one.
pub(super) fn environment(server: &VllmServer) -> Vec<Value> {
    let key = server.env.iter().find(|variable| variable.name == KEY_ENV);
    let ours = key.map(|variable| {
        let mut ours = json!(variable);
        ours["name"] = json!(OUR_KEY_ENV);
        ours
    });
    ours.into_iter().collect()
}

/// Where the container that asks it listens for the plugin.
pub(super) fn mounts() -> Vec<Value> {
    vec![json!({ "name": names::ENGINE_VOLUME, "mountPath": names::ENGINE_DIR })]
}

pub(super) fn volumes(server: &VllmServer) -> Vec<Value> {
    let own = [
        json!({ "name": names::ENGINE_VOLUME, "emptyDir": {} }),
        json!({ "name": SCRATCH, "emptyDir": {} }),
        json!({ "name": SHARED_MEMORY, "emptyDir": { "medium": "Memory" } }),
    ];
    own.into_iter().chain(server.volumes.iter().enumerate().map(volume)).collect()
}

fn volume((number, volume): (usize, &VllmVolume)) -> Value {
    let name = volume_name(number);
    match (&volume.claim_name, &volume.image) {
        (Some(claim), _) => json!({
            "name": name,
            "persistentVolumeClaim": { "claimName": claim, "readOnly": volume.read_only }
        }),
        (None, Some(image)) => json!({ "name": name, "image": { "reference": image } }),
        // The API server refuses such a volume.
        (None, None) => json!({ "name": name, "emptyDir": {} }),
    }
}

fn volume_name(number: usize) -> String {
    format!("vllm-{number}")
}

/// The container that writes the plugin, and vLLM itself: a native sidecar, which is started before
/// the container that asks it and ended after it. That one need not wait for it, nor it for that
/// one: the plugin connects again and again.
pub(super) fn init_containers(settings: &Settings, server: &VllmServer) -> Vec<Value> {
    let security = restricted_security_context(settings.run_as_user.0);
    let plugin = json!({
        "name": PLUGIN_CONTAINER,
        "image": settings.sidecar_image,
        "imagePullPolicy": settings.sidecar_image_pull_policy.as_str(),
        "args": ["plugin", format!("--out={}", names::PLUGIN_DIR)],
        "securityContext": security,
        "volumeMounts": mounts()
    });
    // Compilers, caches and user code write next to what they come with.
    let mut open = security;
    open["readOnlyRootFilesystem"] = json!(false);
    let mut vllm = json!({
        "name": CONTAINER,
        "image": server.image,
        "imagePullPolicy": server.image_pull_policy,
        "restartPolicy": "Always",
        "env": server_environment(server),
        "resources": server.resources.clone().unwrap_or_default(),
        "securityContext": open,
        "volumeMounts": server_mounts(server)
    });
    // An empty list would take the place of the image's own.
    for (field, words) in [("command", &server.command), ("args", &server.args)] {
        if !words.is_empty() {
            vllm[field] = json!(words);
        }
    }
    vec![plugin, vllm]
}

/// vLLM's own variables, with the plugin added to the lists among them.
fn server_environment(server: &VllmServer) -> Vec<Value> {
    let value = |name: &str| {
        let found = server.env.iter().find(|variable| variable.name == name);
        found.and_then(|variable| variable.value.as_deref()).filter(|value| !value.is_empty())
    };
    let mut path = names::PLUGIN_DIR.to_owned();
    if let Some(given) = value(names::PYTHON_PATH_ENV) {
        path = format!("{path}:{given}");
    }
    let mut joined = vec![(names::PYTHON_PATH_ENV, path)];
    if let Some(given) = value(names::VLLM_PLUGINS_ENV) {
        joined.push((names::VLLM_PLUGINS_ENV, format!("{given},{}", names::PLUGIN)));
    }
    joined.push((names::SOCKET_ENV, names::ENGINE_SOCKET.to_owned()));
    joined.push((STATES_ENV, "1".to_owned()));
    let is_given = |name: &str| server.env.iter().any(|variable| variable.name == name);
    // The user has no entry in the image: Python asks for a name and a home, and finds none.
    for (name, default) in [("HOME", SCRATCH_DIR), ("USER", "nonroot")] {
        if !is_given(name) {
            joined.push((name, default.to_owned()));
        }
    }
    let own = server.env.iter().filter(|own| !joined.iter().any(|(name, _)| own.name == *name));
    let own = own.map(|variable| json!(variable));
    own.chain(joined.iter().map(|(name, value)| json!({ "name": name, "value": value }))).collect()
}

fn server_mounts(server: &VllmServer) -> Vec<Value> {
    let own = [
        json!({ "name": names::ENGINE_VOLUME, "mountPath": names::ENGINE_DIR, "readOnly": true }),
        json!({ "name": SCRATCH, "mountPath": SCRATCH_DIR }),
        json!({ "name": SHARED_MEMORY, "mountPath": SHARED_MEMORY_DIR }),
    ];
    let given = server.volumes.iter().enumerate().map(|(number, volume)| {
        let read_only = volume.read_only || volume.image.is_some();
        let name = volume_name(number);
        json!({ "name": name, "mountPath": volume.mount_path, "readOnly": read_only })
    });
    own.into_iter().chain(given).collect()
}
