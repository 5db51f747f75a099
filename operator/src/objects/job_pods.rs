//! Why the pods of a Job do not get on, as far as the API server tells. Pure.

use super::app_containers::REFUSED_BY_PLUGIN;
use super::container_start::{ContainerStart, container_status, end};
use super::vllm_parts;
use k8s_openapi::api::core::v1::{Container, ContainerStateTerminated, Pod};
use kube::ResourceExt as _;
use kube::api::ListParams;
use personaguard_api::conditions::reason;

/// What keeps a pod from getting on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Trouble {
    /// A condition reason, where there is one that says more than that the Job runs.
    pub(crate) reason: Option<&'static str>,
    /// Sentences that say what to do.
    pub(crate) message: String,
}

/// How the pods of Jobs of these names are listed.
pub(crate) fn of(jobs: &[&str]) -> ListParams {
    let label = "batch.kubernetes.io/job-name";
    ListParams::default().labels(&format!("{label} in ({})", jobs.join(",")))
}

/// The first thing that keeps one of these pods from getting on.
pub(crate) fn trouble(pods: &[Pod]) -> Option<Trouble> {
    pods.iter().find_map(of_pod)
}

fn of_pod(pod: &Pod) -> Option<Trouble> {
    let spec = pod.spec.as_ref()?;
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    // What is beside a container that has done its work is ended, one way or another.
    let is_done = |container: &Container| {
        let status = container_status(pod, &container.name);
        let state = status.and_then(|status| status.state.as_ref());
        let ended = state.and_then(|state| state.terminated.as_ref());
        ended.is_some_and(|ended| ended.exit_code == 0)
    };
    if phase == Some("Succeeded") || spec.containers.iter().any(is_done) {
        return None;
    }
    let mut all = spec.init_containers.iter().flatten().chain(&spec.containers);
    all.find_map(|container| ended(pod, &container.name).or_else(|| waits(pod, &container.name)))
}

/// A container ended, now or before it was started again.
fn ended(pod: &Pod, container: &str) -> Option<Trouble> {
    let status = container_status(pod, container)?;
    let states = [&status.state, &status.last_state].into_iter().flatten();
    let mut failed = states.filter(|state| state.terminated.as_ref().is_some_and(has_failed));
    let state = failed.next()?;
    let (exit_code, how) = (state.terminated.as_ref()?.exit_code, end(state)?);
    let name = pod.name_any();
    let namespace = pod.namespace().unwrap_or_default();
    let log = format!("kubectl -n {namespace} logs {name} -c {container} --previous");
    let is_vllm = container == vllm_parts::CONTAINER;
    if is_vllm && exit_code == REFUSED_BY_PLUGIN {
        let message = format!(
            "Its vLLM ended with exit code {REFUSED_BY_PLUGIN}: the plugin cannot measure it, and \
             the end of its log says why ({log})."
        );
        return Some(Trouble { reason: Some(reason::PLUGIN_REFUSES), message });
    }
    let todo = match how.split(',').next() {
        Some("OOMKilled") if is_vllm => {
            "it took more memory than resources in spec.vllm of the PersonaModel allow: raise \
             limits.memory there"
        }
        Some("OOMKilled") => {
            "it took more memory than resources of the Job's container allow: raise limits.memory"
        }
        _ => "the end of its log says why",
    };
    let message = format!("Container {container} of pod {name} ended ({how}): {todo} ({log}).");
    Some(Trouble { reason: None, message })
}

fn has_failed(ended: &ContainerStateTerminated) -> bool {
    ended.exit_code != 0
}

/// A container waits for what does not come by itself.
fn waits(pod: &Pod, container: &str) -> Option<Trouble> {
    let name = pod.name_any();
    let message = match ContainerStart::of(pod, container) {
        ContainerStart::Unscheduled(why) => format!(
            "No node takes pod {name}: {why}. Lower what it requests, correct its node selector \
             and tolerations, or add a node."
        ),
        ContainerStart::ImageUnavailable { image, why } => format!(
            "Image {image} of container {container} of pod {name} cannot be had: {why}. Correct \
             it, or the Secrets that it is pulled with."
        ),
        ContainerStart::Blocked(why) => {
            format!("Container {container} of pod {name} cannot be started: {why}.")
        }
        ContainerStart::Crashed(_) | ContainerStart::Pending | ContainerStart::Running => {
            return None;
        }
    };
    Some(Trouble { reason: None, message })
}

#[cfg(test)]
mod tests;
