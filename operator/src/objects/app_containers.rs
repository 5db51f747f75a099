//! What the containers of an app say about servers and ports. Pure.

use super::own_server::OwnServer;
use k8s_openapi::api::core::v1::{Container, Pod, PodSpec};
use kube::ResourceExt;
use personaguard_api::names;

/// What the containers of an app say about servers and ports.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct AppContainers {
    /// A container that sets the address of its model server itself, to another than the sidecar's.
    pub(crate) own_server: Option<OwnServer>,
    /// The annotation that names the containers which are told of the sidecar, if it names none
    /// that is there.
    pub(crate) nobody_told: Option<String>,
    /// A container that takes variables from ConfigMaps or Secrets as a whole.
    pub(crate) takes_variables: Option<String>,
    /// A container that wants a port of the sidecar, and that port.
    pub(crate) conflict: Option<(String, u16)>,
    /// A container that ends again and again.
    pub(crate) crashing: Option<String>,
    /// Ports of all containers.
    pub(crate) ports: Vec<Port>,
}

/// A port of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Port {
    pub(crate) container: String,
    pub(crate) number: u16,
    pub(crate) name: Option<String>,
}

impl AppContainers {
    pub(super) fn of(pod: &Pod) -> Self {
        let Some(spec) = &pod.spec else { return Self::default() };
        let told = told(pod);
        let meant = || {
            spec.containers
                .iter()
                .filter(|container| told.as_ref().is_none_or(|told| told.contains(&container.name)))
        };
        let name = |container: &Container| container.name.clone();
        let ports: Vec<Port> = running(spec).flat_map(ports).collect();
        let conflict = ports
            .iter()
            .find(|port| [names::API_PORT, names::ADMIN_PORT].contains(&port.number))
            .map(|port| (port.container.clone(), port.number));
        Self {
            own_server: meant().find_map(OwnServer::of),
            nobody_told: told.as_ref().filter(|_| meant().next().is_none()).map(|it| it.join(", ")),
            takes_variables: meant()
                .find(|container| container.env_from.iter().flatten().next().is_some())
                .map(name),
            conflict,
            crashing: crashing(pod),
            ports,
        }
    }
}

/// The containers that the annotation names; none: all.
fn told(pod: &Pod) -> Option<Vec<String>> {
    let list = pod.annotations().get(names::CONTAINERS).filter(|list| !list.is_empty())?;
    Some(list.split(',').map(|name| name.trim().to_owned()).collect())
}

/// Containers that run beside the sidecar, as long as it does.
fn running(spec: &PodSpec) -> impl Iterator<Item = &Container> {
    let native = spec.init_containers.iter().flatten().filter(|container| {
        container.restart_policy.as_deref() == Some("Always") && container.name != names::CONTAINER
    });
    spec.containers.iter().chain(native)
}

fn ports(container: &Container) -> impl Iterator<Item = Port> {
    container.ports.iter().flatten().filter_map(|port| {
        let number = u16::try_from(port.container_port).ok()?;
        let name = port.name.clone();
        Some(Port { container: container.name.clone(), number, name })
    })
}

fn crashing(pod: &Pod) -> Option<String> {
    let mut all = pod.status.as_ref()?.container_statuses.iter().flatten();
    let found = all.find(|status| {
        let waiting = status.state.as_ref().and_then(|state| state.waiting.as_ref());
        waiting.and_then(|waiting| waiting.reason.as_deref()) == Some("CrashLoopBackOff")
    })?;
    Some(found.name.clone())
}

#[cfg(test)]
mod tests;
