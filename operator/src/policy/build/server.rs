//! What a model server gets so that it loads the plugin. Pure.

use k8s_openapi::api::core::v1::{EnvVar, VolumeMount};
use personaguard_api::{JoinedVariable, ServerParts, names};

/// For the containers whose port the sidecar takes over in placement Engine.
pub(super) fn parts() -> ServerParts {
    let mount = VolumeMount {
        name: names::ENGINE_VOLUME.to_owned(),
        mount_path: names::ENGINE_DIR.to_owned(),
        read_only: Some(true),
        ..VolumeMount::default()
    };
    let socket = EnvVar {
        name: names::SOCKET_ENV.to_owned(),
        value: Some(names::ENGINE_SOCKET.to_owned()),
        value_from: None,
    };
    let join = |name: &str, value: &str, separator: &str, always| JoinedVariable {
        name: name.to_owned(),
        value: value.to_owned(),
        separator: separator.to_owned(),
        always,
    };
    ServerParts {
        volume_mounts: vec![mount],
        env: vec![socket],
        joins: vec![
            join(names::PYTHON_PATH_ENV, names::PLUGIN_DIR, ":", true),
            // Without this variable vLLM loads every plugin that it finds.
            join(names::VLLM_PLUGINS_ENV, names::PLUGIN, ",", false),
        ],
    }
}
