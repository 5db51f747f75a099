//! Ways around the sidecar. In front of another server it takes over the app's port by name, so
//! traffic to the port number does not pass it, nor does what another container of the pod passes
//! on. In placement Serve an app may be told of another server. Pure.

use super::guarded::SelectedPod;
use crate::objects::conditions::NewCondition;
use crate::objects::{AppPort, PodView, Port, ServiceView};
use personaguard_api::conditions::{condition, reason};
use personaguard_api::{Placement, names};
use std::sync::Arc;

type Finding = (&'static str, String);

/// The condition, for the pods that a policy selects.
pub(super) fn detect(
    placement: Placement,
    pods: &[SelectedPod<'_>],
    services: &[Arc<ServiceView>],
) -> NewCondition {
    let mut guarded = pods.iter().filter(|selected| selected.pod.sidecar.is_some());
    let found = guarded.find_map(|selected| match placement {
        Placement::Proxy | Placement::Engine => past_proxy(placement, selected, services),
        Placement::Serve => past_server(selected),
    });
    match found {
        Some((reason, message)) => NewCondition::met(condition::BYPASS_DETECTED, reason, message),
        None => NewCondition::unmet(
            condition::BYPASS_DETECTED,
            reason::NO_BYPASS,
            match placement {
                Placement::Proxy => {
                    "No Service, no node port and no connection bypasses the sidecar."
                }
                Placement::Engine => {
                    "No Service, no node port, no connection and no request bypasses the sidecar."
                }
                Placement::Serve => "No container uses another model server, as far as it is told.",
            },
        ),
    }
}

fn past_proxy(
    placement: Placement,
    selected: &SelectedPod<'_>,
    services: &[Arc<ServiceView>],
) -> Option<Finding> {
    let pod = selected.pod;
    let app = pod.app_port.as_ref()?;
    let leading = || services.iter().filter(|service| service.selects(&pod.labels));
    let direct = leading().find(|service| bypasses(service, app));
    let headless = || leading().find(|service| service.headless_ports.contains(&app.number));
    direct
        .map(|service| by_service(service, pod, app))
        .or_else(|| headless().map(|service| by_headless(service, pod, app)))
        .or_else(|| by_host_port(pod, app))
        .or_else(|| leading().find_map(|service| by_front(service, pod, app)))
        .or_else(|| by_connections(placement, selected, app))
}

fn bypasses(service: &ServiceView, app: &AppPort) -> bool {
    let by_name = service.target_names.iter().any(|name| app.names.contains(name));
    by_name || service.target_numbers.contains(&app.number)
}

fn by_service(service: &ServiceView, pod: &PodView, app: &AppPort) -> Finding {
    let message = format!(
        "Service {} sends traffic directly to port {} of pod {}, past the sidecar: set its \
         targetPort to the name in spec.port of the policy.",
        service.name, app.number, pod.name
    );
    (reason::SERVICE_BYPASSES_SIDECAR, message)
}

/// It translates no port: what it says is what its clients connect to.
fn by_headless(service: &ServiceView, pod: &PodView, app: &AppPort) -> Finding {
    let message = format!(
        "Service {} is headless, so its clients connect to port {} of pod {} itself, past the \
         sidecar: give it port {}, which is the sidecar's.",
        service.name,
        app.number,
        pod.name,
        names::API_PORT
    );
    (reason::SERVICE_BYPASSES_SIDECAR, message)
}

fn by_host_port(pod: &PodView, app: &AppPort) -> Option<Finding> {
    let message = format!(
        "Port {} of the node leads directly to port {} of pod {}, past the sidecar: remove \
         hostPort from the container.",
        app.host_port?, app.number, pod.name
    );
    Some((reason::HOST_PORT_BYPASSES_SIDECAR, message))
}

/// A container beside the model's may pass requests on to the model, within the pod. That is not
/// asked of a Service that also leads to the sidecar: its other ports are for metrics and the like.
fn by_front(service: &ServiceView, pod: &PodView, app: &AppPort) -> Option<Finding> {
    if service.leads_elsewhere || leads_to_sidecar(service, pod, app) {
        return None;
    }
    let models = pod.app.ports.iter().find(|port| port.number == app.number);
    let models = models.map(|port| port.container.as_str());
    let targeted = |port: &&Port| {
        let by_name = port.name.as_ref().is_some_and(|name| service.target_names.contains(name));
        by_name || service.target_numbers.contains(&port.number)
    };
    let declared =
        pod.app.ports.iter().find(|port| models != Some(port.container.as_str()) && targeted(port));
    let (number, container) = match declared {
        Some(port) => (port.number, format!("container {}", port.container)),
        // A number that no container declares may be any container's.
        None => (undeclared(service, pod, app)?, "a container".to_owned()),
    };
    let message = format!(
        "Service {} leads to port {number} of {container} of pod {}, beside the model's: if that \
         passes requests on to the model, give the port a name and take it over (spec.port); if \
         not, say so on the Service ({}: \"true\").",
        service.name,
        pod.name,
        names::LEADS_ELSEWHERE
    );
    Some((reason::FRONT_BYPASSES_SIDECAR, message))
}

/// A name that no other container has is that of the sidecar's port.
fn leads_to_sidecar(service: &ServiceView, pod: &PodView, app: &AppPort) -> bool {
    let other = |name: &String| {
        app.names.contains(name)
            || pod.app.ports.iter().any(|port| port.name.as_ref() == Some(name))
    };
    service.target_numbers.contains(&names::API_PORT)
        || service.target_names.iter().any(|name| !other(name))
}

fn undeclared(service: &ServiceView, pod: &PodView, app: &AppPort) -> Option<u16> {
    let known = [names::API_PORT, names::ADMIN_PORT, app.number];
    let mut numbers = service.target_numbers.iter().copied();
    numbers.find(|number| {
        !known.contains(number) && !pod.app.ports.iter().any(|port| port.number == *number)
    })
}

/// What the sidecar itself saw of its pod's connections, and what the plugin behind it counted.
fn by_connections(
    placement: Placement,
    selected: &SelectedPod<'_>,
    app: &AppPort,
) -> Option<Finding> {
    let connections = selected.report?.connections;
    let count = connections.past_sidecar;
    let what = match placement {
        Placement::Engine => "connections, or requests that vLLM answered,",
        Placement::Proxy | Placement::Serve => "connections",
    };
    let message = format!(
        "{count} {what} of the last ten minutes reached port {} of pod {} past its sidecar: \
         from another container of the pod, or from a client that uses the pod's address. Let them \
         go to the sidecar's port, and admit no other by a NetworkPolicy.",
        app.number, selected.pod.name
    );
    connections.shows_bypass().then_some((reason::CONNECTIONS_BYPASS_SIDECAR, message))
}

fn past_server(selected: &SelectedPod<'_>) -> Option<Finding> {
    own_server(selected.pod).or_else(|| unused(selected))
}

fn own_server(pod: &PodView) -> Option<Finding> {
    let annotation = names::CONTAINERS;
    let message = if let Some(told) = &pod.app.nobody_told {
        format!(
            "Annotation {annotation} of pod {} names no container of it ({told}), so none is told \
             of its sidecar: correct or remove it.",
            pod.name
        )
    } else {
        let own = pod.app.own_server.as_ref()?;
        format!(
            "Container {} of pod {} sets {} itself, to another server than its sidecar: remove \
             that, or name the containers that are to be guarded in the pod's annotation \
             {annotation}.",
            own.container, pod.name, own.by
        )
    };
    Some((reason::APP_USES_ANOTHER_SERVER, message))
}

/// The app is used, and its sidecar is not.
fn unused(selected: &SelectedPod<'_>) -> Option<Finding> {
    let report = selected.report?;
    let (count, pod) = (report.connections.app, &selected.pod.name);
    let message = format!(
        "The app of pod {pod} had {count} connections within the last ten minutes, and its sidecar \
         not one request: let the app use the server at {}, or select it by no policy.",
        names::BASE_URL_ENV
    );
    let found = report.connections.shows_use() && report.totals.responses == 0;
    found.then_some((reason::SIDECAR_UNUSED, message))
}

#[cfg(test)]
mod tests;
