//! What the operator keeps of a pod.

use super::app_containers::AppContainers;
use super::container_start::ContainerStart;
use super::exempt::exempt;
use super::sidecar_container::{is_sidecar, namesake};
use crate::keys::Owner;
use k8s_openapi::api::core::v1::{Container, Pod, PodSpec};
use kube::ResourceExt;
use personaguard_api::names;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Field selector: pods that have ended are not watched.
pub(crate) const WATCHED_PODS: &str = "status.phase!=Succeeded,status.phase!=Failed";

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PodView {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) uid: String,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) owner: Option<Owner>,
    /// The model of its sidecar, if one was injected.
    pub(crate) sidecar: Option<String>,
    /// The identity of the model that its sidecar was made for.
    pub(crate) identity: Option<String>,
    /// It is being deleted.
    pub(crate) terminating: bool,
    /// Digest of the config for which its mount was last refreshed.
    pub(crate) refreshed_for: Option<String>,
    /// In front of another server: the port of the app behind the sidecar.
    pub(crate) app_port: Option<AppPort>,
    /// Why the API server never injects into it, if it never does.
    pub(crate) exempt: Option<&'static str>,
    /// Image of a container that has the sidecar's name and is none.
    pub(crate) namesake: Option<String>,
    /// What the containers of the app say about servers and ports.
    pub(crate) app: AppContainers,
    /// How far the start of the sidecar is.
    pub(crate) start: ContainerStart,
    /// How often the sidecar's container was started anew.
    pub(crate) restarts: i32,
    /// Its addresses.
    pub(crate) addresses: Vec<IpAddr>,
}

/// The port on which the app is reached without its sidecar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AppPort {
    pub(crate) number: u16,
    /// Its names, apart from the one that the sidecar took over.
    pub(crate) names: Vec<String>,
    /// Port of the node that leads to it.
    pub(crate) host_port: Option<u16>,
}

impl From<Pod> for PodView {
    fn from(pod: Pod) -> Self {
        Self {
            sidecar: pod.spec.as_ref().and_then(sidecar_model),
            identity: pod.spec.as_ref().and_then(|spec| variable(spec, names::MODEL_IDENTITY_ENV)),
            owner: owner(&pod),
            exempt: exempt(&pod),
            namesake: pod.spec.as_ref().and_then(namesake),
            app: AppContainers::of(&pod),
            start: ContainerStart::of(&pod, names::CONTAINER),
            restarts: super::sidecar_container::restarts(&pod),
            addresses: addresses(&pod),
            app_port: pod.spec.as_ref().and_then(app_port),
            terminating: pod.metadata.deletion_timestamp.is_some(),
            refreshed_for: pod.annotations().get(names::CONFIG_DIGEST_ANNOTATION).cloned(),
            namespace: pod.namespace().unwrap_or_default(),
            name: pod.name_any(),
            uid: pod.uid().unwrap_or_default(),
            labels: pod.metadata.labels.unwrap_or_default(),
        }
    }
}

fn owner(pod: &Pod) -> Option<Owner> {
    let owner = pod.owner_references().iter().find(|owner| owner.controller == Some(true))?;
    Some(Owner {
        api_version: owner.api_version.clone(),
        kind: owner.kind.clone(),
        name: owner.name.clone(),
        uid: owner.uid.clone(),
    })
}

fn addresses(pod: &Pod) -> Vec<IpAddr> {
    let status = pod.status.iter();
    let all = status.flat_map(|status| status.pod_ips.iter().flatten());
    all.filter_map(|address| address.ip.parse().ok()).collect()
}

/// A variable of the sidecar.
fn variable(spec: &PodSpec, name: &str) -> Option<String> {
    let mut environment = sidecar(spec)?.env.iter().flatten();
    environment.find(|variable| variable.name == name)?.value.clone()
}

fn sidecar(spec: &PodSpec) -> Option<&Container> {
    spec.init_containers.iter().flatten().find(|container| is_sidecar(container))
}

/// By the ConfigMap of the volume that the sidecar reads its config from. Others of the pod may
/// have such names, too.
fn sidecar_model(spec: &PodSpec) -> Option<String> {
    let mounts = sidecar(spec)?.volume_mounts.iter().flatten();
    let volume = mounts.into_iter().find(|mount| mount.mount_path == names::CONFIG_DIR)?;
    let mut volumes = spec.volumes.iter().flatten();
    let config = volumes.find(|known| known.name == volume.name)?.config_map.as_ref()?;
    config.name.strip_prefix(names::CONFIG_PREFIX).map(str::to_owned)
}

/// By the upstream address that the API server gave the sidecar on injection.
fn app_port(spec: &PodSpec) -> Option<AppPort> {
    let upstream = variable(spec, names::UPSTREAM_ENV)?;
    let number: u16 = upstream.rsplit(':').next()?.parse().ok()?;
    let ports = spec.containers.iter().flat_map(|container| container.ports.iter().flatten());
    let ports: Vec<_> = ports.filter(|port| port.container_port == i32::from(number)).collect();
    let host_port =
        ports.iter().find_map(|port| u16::try_from(port.host_port?).ok().filter(|port| *port > 0));
    let names = ports.iter().filter_map(|port| port.name.clone()).collect();
    Some(AppPort { number, names, host_port })
}

#[cfg(test)]
mod tests;
