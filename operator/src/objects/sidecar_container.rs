//! The sidecar among the containers of a pod. Pure.

use super::container_start::container_status;
use k8s_openapi::api::core::v1::{Container, Pod, PodSpec};
use personaguard_api::names;

/// Whether a container is what is injected, and not only called the same. Its image is not asked
/// about: registries and mirrors rename it.
pub(super) fn is_sidecar(container: &Container) -> bool {
    let mut mounts = container.volume_mounts.iter().flatten();
    container.name == names::CONTAINER
        && container.restart_policy.as_deref() == Some("Always")
        && container.command.as_ref().is_none_or(Vec::is_empty)
        && container.args.as_deref() == Some(&["serve".to_owned()])
        && mounts.any(|mount| {
            mount.mount_path == names::CONFIG_DIR && mount.name == names::CONFIG_VOLUME
        })
}

/// The image of a container that has the sidecar's name and is none.
pub(super) fn namesake(spec: &PodSpec) -> Option<String> {
    let all = spec.init_containers.iter().flatten().chain(&spec.containers);
    let found = all.into_iter().find(|container| container.name == names::CONTAINER)?;
    let injected = spec.init_containers.iter().flatten().any(is_sidecar);
    (!injected).then(|| found.image.clone().unwrap_or_default())
}

/// How often the sidecar's container was started anew.
pub(super) fn restarts(pod: &Pod) -> i32 {
    container_status(pod, names::CONTAINER).map_or(0, |status| status.restart_count)
}

#[cfg(test)]
mod tests;
