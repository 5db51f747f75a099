//! How far the start of a container is, as the API server tells. Pure.

use k8s_openapi::api::core::v1::{ContainerState, ContainerStatus, Pod};

/// Longest part of a message of the kubelet or the scheduler that is repeated.
const MAX_WORDS: usize = 300;

/// How far the start of a container is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum ContainerStart {
    /// The pod has no node; the scheduler's words.
    Unscheduled(String),
    /// The container is being made, or waits for something.
    #[default]
    Pending,
    /// Its image cannot be had: the image, and the kubelet's reason and words.
    ImageUnavailable { image: String, why: String },
    /// It cannot be made or started: the kubelet's reason and words.
    Blocked(String),
    /// It ended, and is to be started again: how it ended.
    Crashed(String),
    /// It runs.
    Running,
}

impl ContainerStart {
    /// Of the container of this name.
    pub(super) fn of(pod: &Pod, name: &str) -> Self {
        let Some(status) = container_status(pod, name) else {
            return unscheduled(pod).unwrap_or_default();
        };
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
                Self::ImageUnavailable { image: image(pod, name).unwrap_or_default(), why }
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

/// The status of the container of this name.
pub(super) fn container_status<'a>(pod: &'a Pod, name: &str) -> Option<&'a ContainerStatus> {
    let status = pod.status.as_ref()?;
    let initial = status.init_container_statuses.iter().flatten();
    let mut all = initial.chain(status.container_statuses.iter().flatten());
    all.find(|status| status.name == name)
}

/// How a container ended.
pub(super) fn end(state: &ContainerState) -> Option<String> {
    let ended = state.terminated.as_ref()?;
    let reason = ended.reason.as_deref().unwrap_or("Error");
    Some(format!("{reason}, exit code {}", ended.exit_code))
}

fn image(pod: &Pod, name: &str) -> Option<String> {
    let spec = pod.spec.as_ref()?;
    let mut all = spec.init_containers.iter().flatten().chain(&spec.containers);
    all.find(|container| container.name == name)?.image.clone()
}

fn unscheduled(pod: &Pod) -> Option<ContainerStart> {
    let conditions = pod.status.as_ref()?.conditions.iter().flatten();
    let mut unmet = conditions.filter(|it| it.type_ == "PodScheduled" && it.status == "False");
    let condition = unmet.next()?;
    let reason = condition.reason.clone().unwrap_or_default();
    let message = condition.message.as_deref().unwrap_or(&reason);
    Some(ContainerStart::Unscheduled(clip(message)))
}

fn clip(message: &str) -> String {
    let line = message.split_whitespace().collect::<Vec<_>>().join(" ");
    line.chars().take(MAX_WORDS).collect::<String>().trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests;
