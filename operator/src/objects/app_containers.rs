//! What the containers of an app say about servers and ports. Pure.

use super::own_server::OwnServer;
use k8s_openapi::api::core::v1::{Container, ContainerState, ContainerStatus, Pod, PodSpec};
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
    /// What keeps containers from being given the plugin.
    pub(crate) obstacles: Vec<Obstacle>,
    /// Containers that are not ready.
    pub(crate) not_ready: Vec<String>,
    /// Containers that ended as the plugin ends a model server that it cannot guard.
    pub(crate) ended_by_plugin: Vec<String>,
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

/// A container that cannot be given the plugin, and what to do about it, as a clause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Obstacle {
    pub(crate) container: String,
    pub(crate) remedy: String,
}

/// With which the plugin ends a model server that it cannot guard.
pub(super) const REFUSED_BY_PLUGIN: i32 = 78;

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
            obstacles: spec.containers.iter().filter_map(obstacle).collect(),
            not_ready: statuses(pod).filter(|it| !it.ready).map(|it| it.name.clone()).collect(),
            ended_by_plugin: statuses(pod)
                .filter(|it| was_refused(it))
                .map(|it| it.name.clone())
                .collect(),
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

/// The chart's admission policy leaves pods with such a container alone.
fn obstacle(container: &Container) -> Option<Obstacle> {
    let name = &container.name;
    let folder = format!("{}/", names::ENGINE_DIR);
    let mut mounts = container.volume_mounts.iter().flatten();
    let own = mounts.find(|mount| format!("{}/", mount.mount_path).starts_with(&folder));
    let joined = [names::PYTHON_PATH_ENV, names::VLLM_PLUGINS_ENV];
    let mut variables = container.env.iter().flatten();
    let elsewhere = variables
        .find(|it| joined.contains(&it.name.as_str()) && it.value_from.is_some())
        .map(|it| &it.name);
    let remedy = match (own, elsewhere) {
        (Some(mount), _) => format!(
            "its container {name} mounts a volume at {}, where the plugin is to be: mount it \
             elsewhere",
            mount.mount_path
        ),
        (None, Some(variable)) => format!(
            "its container {name} takes {variable} by valueFrom, to which nothing can be added: \
             give it as a value"
        ),
        (None, None) => return None,
    };
    Some(Obstacle { container: name.clone(), remedy })
}

fn statuses(pod: &Pod) -> impl Iterator<Item = &ContainerStatus> {
    let status = pod.status.iter();
    status.flat_map(|status| status.container_statuses.iter().flatten())
}

/// It ended so now, or the last time.
fn was_refused(status: &ContainerStatus) -> bool {
    let refused = |state: &ContainerState| {
        state.terminated.as_ref().is_some_and(|end| end.exit_code == REFUSED_BY_PLUGIN)
    };
    let states = [&status.state, &status.last_state];
    !status.ready && states.into_iter().flatten().any(refused)
}

fn crashing(pod: &Pod) -> Option<String> {
    let found = statuses(pod).find(|status| {
        let waiting = status.state.as_ref().and_then(|state| state.waiting.as_ref());
        waiting.and_then(|waiting| waiting.reason.as_deref()) == Some("CrashLoopBackOff")
    })?;
    Some(found.name.clone())
}

#[cfg(test)]
mod tests;
