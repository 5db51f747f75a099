//! The processes of a pod's containers, on the node.

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::Pod;

/// Process ids of one container of a pod. They are found by the container id in their cgroup path.
///
/// # Errors
/// When the pod has no such container, or the container has no process.
pub fn processes(pod: &Pod, container: &str) -> Result<Vec<u32>> {
    let status = pod.status.as_ref().context("the pod has no status")?;
    let id = status
        .init_container_statuses
        .iter()
        .chain(&status.container_statuses)
        .flatten()
        .find(|status| status.name == container)
        .and_then(|status| status.container_id.as_deref())
        .and_then(|id| id.strip_prefix("containerd://"))
        .with_context(|| format!("the pod runs no container {container}"))?;
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc")?.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        // A process may end meanwhile.
        let cgroup = std::fs::read_to_string(entry.path().join("cgroup")).unwrap_or_default();
        if cgroup.contains(id) {
            found.push(pid);
        }
    }
    anyhow::ensure!(!found.is_empty(), "no process of container {id}");
    Ok(found)
}
