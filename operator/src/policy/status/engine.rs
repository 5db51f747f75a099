//! Placement Engine: pods whose model server has not loaded the plugin, or cannot. Pure.

use super::guarded::{GuardState, SelectedPod};
use crate::objects::PodView;
use personaguard_api::conditions::reason;
use personaguard_api::{PersonaPolicy, Placement, names};

/// The reason and what to do, for the first pod that there is something to do about.
pub(super) fn problem(
    policy: &PersonaPolicy,
    pods: &[SelectedPod<'_>],
) -> Option<(String, String)> {
    let port = policy.spec.port.as_deref()?;
    if policy.spec.placement != Placement::Engine {
        return None;
    }
    let found = pods
        .iter()
        .find_map(|it| not_joined(it, port))
        .or_else(|| pods.iter().find_map(refused))
        .or_else(|| pods.iter().find_map(not_connected));
    found.map(|(reason, message)| (reason.to_owned(), message))
}

type Problem = (&'static str, String);

/// Nothing was injected, as one of its containers cannot be given the plugin.
fn not_joined(selected: &SelectedPod<'_>, port: &str) -> Option<Problem> {
    let pod = selected.pod;
    let owns = |container: &str| {
        let mut ports = pod.app.ports.iter();
        ports.any(|it| it.container == container && it.name.as_deref() == Some(port))
    };
    let obstacle = pod.app.obstacles.iter().find(|it| owns(&it.container))?;
    let message =
        format!("Pod {} has no sidecar: {}, then create the pod anew.", pod.name, obstacle.remedy);
    (selected.state == GuardState::NoSidecar).then_some((reason::CONTAINER_NOT_JOINED, message))
}

/// The plugin ended the model server.
fn refused(selected: &SelectedPod<'_>) -> Option<Problem> {
    let pod = selected.pod;
    let server = server(pod)?;
    let message = format!(
        "Container {server} of pod {} ended with exit code 78: the plugin in its vLLM cannot guard \
         it, and the end of its log says why (kubectl logs {} -c {server} --previous).",
        pod.name, pod.name
    );
    pod.app
        .ended_by_plugin
        .iter()
        .any(|it| it == server)
        .then_some((reason::PLUGIN_REFUSES, message))
}

/// The sidecar waits for the plugin.
fn not_connected(selected: &SelectedPod<'_>) -> Option<Problem> {
    let (pod, failure) = (selected.pod, selected.report?.failure.as_ref()?);
    let server = server(pod).filter(|_| failure.reason == reason::ENGINE_NOT_CONNECTED)?;
    let starting = pod.app.not_ready.iter().any(|it| it == server);
    let state = if pod.app.crashing.as_deref() == Some(server) {
        "ending again and again"
    } else if starting {
        "not ready yet, so it may be loading its model"
    } else {
        "ready"
    };
    let message = format!(
        "The model server in container {server} of pod {} has not connected its plugin; it is \
         {state}. If that persists, look for personaguard in its log: whatever starts vLLM there \
         must pass on {} with {} in it, {}, and {} with {} in it where that is set.",
        pod.name,
        names::PYTHON_PATH_ENV,
        names::PLUGIN_DIR,
        names::SOCKET_ENV,
        names::VLLM_PLUGINS_ENV,
        names::PLUGIN
    );
    Some((reason::ENGINE_NOT_CONNECTED, message))
}

/// The container behind the sidecar.
fn server(pod: &PodView) -> Option<&str> {
    let number = pod.app_port.as_ref()?.number;
    let found = pod.app.ports.iter().find(|port| port.number == number)?;
    Some(&found.container)
}

#[cfg(test)]
mod tests;
