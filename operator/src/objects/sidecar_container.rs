//! The sidecar among the containers of a pod, and how far its start is. Pure.

use k8s_openapi::api::core::v1::{Container, ContainerState, ContainerStatus, Pod, PodSpec};
use personaguard_api::names;

/// Longest part of a message of the kubelet or the scheduler that is repeated.
const MAX_WORDS: usize = 300;

/// How far the start of a sidecar is, as the API server tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum SidecarStart {
    /// The pod has no node; the scheduler's words.
    Unscheduled(String),
    /// Its container is being made, or waits for something.
    #[default]
    Pending,
    /// Its image cannot be had: the image, and the kubelet's reason and words.
    ImageUnavailable { image: String, why: String },
    /// Its container cannot be made or started: the kubelet's reason and words.
    Blocked(String),
    /// It ended, and is to be started again: how it ended.
    Crashed(String),
    /// It runs.
    Running,
}

impl SidecarStart {
    pub(super) fn of(pod: &Pod) -> Self {
        let Some(status) = status(pod) else { return unscheduled(pod).unwrap_or_default() };
        let state = status.state.clone().unwrap_or_default();
        if state.running.is_some() {
            return Self::Running;
        }
        if let Some(end) = end(&state) {
            return Self::Crashed(end);
        }
        let Some(waiting) = state.waiting else { return Self::Pending };
        let reason = waiting.reason.unwrap_or_default();
        let why = match waiting.message {
            Some(message) => format!("{reason}: {}", clip(&message)),
            None => reason.clone(),
        };
        match reason.as_str() {
            "ErrImagePull"
            | "ImagePullBackOff"
            | "ErrImageNeverPull"
            | "InvalidImageName"
            | "ImageInspectError"
            | "RegistryUnavailable"
            | "SignatureValidationFailed" => {
                Self::ImageUnavailable { image: image(pod).unwrap_or_default(), why }
            }
            "CrashLoopBackOff" => {
                let last = status.last_state.as_ref().and_then(end);
                Self::Crashed(last.unwrap_or(why))
            }
            "" | "PodInitializing" | "ContainerCreating" => {
                unscheduled(pod).unwrap_or(Self::Pending)
            }
            _ => Self::Blocked(why),
        }
    }
}

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
    status(pod).map_or(0, |status| status.restart_count)
}

fn status(pod: &Pod) -> Option<&ContainerStatus> {
    let mut all = pod.status.as_ref()?.init_container_statuses.iter().flatten();
    all.find(|status| status.name == names::CONTAINER)
}

fn image(pod: &Pod) -> Option<String> {
    let mut all = pod.spec.as_ref()?.init_containers.iter().flatten();
    all.find(|container| container.name == names::CONTAINER)?.image.clone()
}

fn unscheduled(pod: &Pod) -> Option<SidecarStart> {
    let conditions = pod.status.as_ref()?.conditions.iter().flatten();
    let mut unmet = conditions.filter(|it| it.type_ == "PodScheduled" && it.status == "False");
    let condition = unmet.next()?;
    let reason = condition.reason.clone().unwrap_or_default();
    let message = condition.message.as_deref().unwrap_or(&reason);
    Some(SidecarStart::Unscheduled(clip(message)))
}

/// How a container ended.
fn end(state: &ContainerState) -> Option<String> {
    let ended = state.terminated.as_ref()?;
    let reason = ended.reason.as_deref().unwrap_or("Error");
    Some(format!("{reason}, exit code {}", ended.exit_code))
}

fn clip(message: &str) -> String {
    let line = message.split_whitespace().collect::<Vec<_>>().join(" ");
    line.chars().take(MAX_WORDS).collect::<String>().trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests;
