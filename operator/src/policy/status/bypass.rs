//! Ways around the sidecar in placement Proxy. The sidecar takes over the app's port by name, so
//! traffic to the port number does not pass it. Pure. Clients that use a pod's own address cannot
//! be seen here; a NetworkPolicy stops them.

use crate::objects::conditions::NewCondition;
use crate::objects::{AppPort, PodView, ServiceView};
use personaguard_api::conditions::{condition, reason};
use std::sync::Arc;

/// The condition, for the pods that a policy selects.
pub(super) fn detect<'a>(
    pods: impl Iterator<Item = &'a PodView>,
    services: &[Arc<ServiceView>],
) -> NewCondition {
    let found =
        pods.filter_map(|pod| Some((pod, pod.app_port.as_ref()?))).find_map(|(pod, app)| {
            let service = services.iter().find(|service| bypasses(service, pod, app));
            service.map(|service| by_service(service, pod, app)).or_else(|| by_host_port(pod, app))
        });
    match found {
        Some((reason, message)) => NewCondition::met(condition::BYPASS_DETECTED, reason, message),
        None => NewCondition::unmet(
            condition::BYPASS_DETECTED,
            reason::NO_BYPASS,
            "No Service and no node port bypasses the sidecar.",
        ),
    }
}

fn bypasses(service: &ServiceView, pod: &PodView, app: &AppPort) -> bool {
    let by_name = service.target_names.iter().any(|name| app.names.contains(name));
    service.selects(&pod.labels) && (by_name || service.target_numbers.contains(&app.number))
}

fn by_service(service: &ServiceView, pod: &PodView, app: &AppPort) -> (&'static str, String) {
    let message = format!(
        "Service {} sends traffic directly to port {} of pod {}, past the sidecar: set its \
         targetPort to the name in spec.port of the policy.",
        service.name, app.number, pod.name
    );
    (reason::SERVICE_BYPASSES_SIDECAR, message)
}

fn by_host_port(pod: &PodView, app: &AppPort) -> Option<(&'static str, String)> {
    let message = format!(
        "Port {} of the node leads directly to port {} of pod {}, past the sidecar: remove \
         hostPort from the container.",
        app.host_port?, app.number, pod.name
    );
    Some((reason::HOST_PORT_BYPASSES_SIDECAR, message))
}

#[cfg(test)]
mod tests;
