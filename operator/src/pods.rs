//! What the operator needs to know of a pod, and no more is kept.

use k8s_openapi::api::core::v1::{Pod, PodSpec};
use kube::ResourceExt;
use personaguard_api::names;
use std::collections::BTreeMap;

/// Phases that are over are left out by the API server itself.
pub(crate) const FIELDS: &str = "status.phase!=Succeeded,status.phase!=Failed";

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PodView {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) uid: String,
    pub(crate) labels: BTreeMap<String, String>,
    /// Its controller.
    pub(crate) owner: Option<Owner>,
    /// Model of the sidecar that was injected, if one was.
    pub(crate) sidecar: Option<String>,
    /// Being deleted.
    pub(crate) terminating: bool,
    /// Config that it was last nudged for.
    pub(crate) nudged: Option<String>,
    /// In placement Proxy: the port of the app that the sidecar stands in front of.
    pub(crate) app_port: Option<AppPort>,
    /// Why the API server never injects into it, if it never does.
    pub(crate) exempt: Option<&'static str>,
}

/// The port on which an app is reached without its sidecar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AppPort {
    pub(crate) number: u16,
    /// Names of it, beside the one that the sidecar took over.
    pub(crate) names: Vec<String>,
    /// Port of the node that leads to it.
    pub(crate) host_port: Option<u16>,
}

/// A controller, as an owner reference names it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Owner {
    pub(crate) api_version: String,
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) uid: String,
}

impl From<Pod> for PodView {
    fn from(pod: Pod) -> Self {
        let spec = pod.spec.as_ref();
        let sidecar = spec.is_some_and(|spec| {
            spec.init_containers
                .iter()
                .flatten()
                .any(|container| container.name == names::CONTAINER)
        });
        let config = spec.into_iter().flat_map(|spec| spec.volumes.iter().flatten());
        let model = config.filter_map(|volume| {
            volume.config_map.as_ref()?.name.strip_prefix(names::CONFIG_PREFIX)
        });
        let owner = pod.owner_references().iter().find(|owner| owner.controller == Some(true)).map(
            |owner| Owner {
                api_version: owner.api_version.clone(),
                kind: owner.kind.clone(),
                name: owner.name.clone(),
                uid: owner.uid.clone(),
            },
        );
        Self {
            sidecar: sidecar.then(|| model.map(str::to_owned).next().unwrap_or_default()),
            owner,
            exempt: exempt(&pod),
            app_port: pod.spec.as_ref().and_then(app_port),
            terminating: pod.metadata.deletion_timestamp.is_some(),
            nudged: pod.annotations().get(names::CONFIG_DIGEST_ANNOTATION).cloned(),
            namespace: pod.namespace().unwrap_or_default(),
            name: pod.name_any(),
            uid: pod.uid().unwrap_or_default(),
            labels: pod.metadata.labels.unwrap_or_default(),
        }
    }
}

/// By what the API server told the sidecar when it injected it.
fn app_port(spec: &PodSpec) -> Option<AppPort> {
    let sidecar = spec
        .init_containers
        .iter()
        .flatten()
        .find(|container| container.name == names::CONTAINER)?;
    let upstream =
        sidecar.env.iter().flatten().find(|variable| variable.name == names::UPSTREAM_ENV)?;
    let number: u16 = upstream.value.as_ref()?.rsplit(':').next()?.parse().ok()?;
    let ports = spec.containers.iter().flat_map(|container| container.ports.iter().flatten());
    let ports: Vec<_> = ports.filter(|port| port.container_port == i32::from(number)).collect();
    let host_port =
        ports.iter().find_map(|port| u16::try_from(port.host_port?).ok().filter(|port| *port > 0));
    Some(AppPort {
        number,
        names: ports.iter().filter_map(|port| port.name.clone()).collect(),
        host_port,
    })
}

/// What the chart's admission policy leaves alone.
fn exempt(pod: &Pod) -> Option<&'static str> {
    let spec = pod.spec.as_ref()?;
    let out = |map: &BTreeMap<String, String>| {
        map.get(names::INJECT).is_some_and(|value| value == "false")
    };
    if spec.host_network == Some(true) {
        Some("on the host's network")
    } else if out(pod.labels()) || out(pod.annotations()) {
        Some("opted out by personaguard.dev/inject")
    } else if spec.os.as_ref().is_some_and(|os| os.name == "windows") {
        Some("for Windows")
    } else if pod.annotations().contains_key("kubernetes.io/config.mirror") {
        Some("static")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn view(pod: serde_json::Value) -> PodView {
        PodView::from(serde_json::from_value::<Pod>(pod).unwrap())
    }

    #[test]
    fn the_sidecar_and_its_model_are_recognised() {
        let pod = view(json!({
            "metadata": {
                "namespace": "support", "name": "chat-1", "uid": "u", "labels": {"app": "chat"},
                "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "chat", "uid": "r", "controller": true}]
            },
            "spec": {
                "containers": [{"name": "app"}],
                "initContainers": [{"name": "personaguard", "restartPolicy": "Always"}],
                "volumes": [{"name": "other", "configMap": {"name": "other"}}, {"name": "personaguard-config", "configMap": {"name": "personaguard-smollm2"}}]
            }
        }));
        assert_eq!(pod.sidecar.as_deref(), Some("smollm2"));
        assert_eq!(pod.owner.unwrap().kind, "ReplicaSet");
        assert_eq!(pod.exempt, None);
    }

    #[test]
    fn the_app_is_where_the_api_server_told_the_sidecar() {
        let pod = |upstream: &str| {
            view(json!({
                "metadata": {"name": "a"},
                "spec": {
                    "initContainers": [{"name": "personaguard", "env": [{"name": "PERSONAGUARD_UPSTREAM", "value": upstream}]}],
                    "containers": [{"name": "app", "ports": [
                        {"containerPort": 8000, "hostPort": 80}, {"containerPort": 8000, "name": "also"}, {"containerPort": 9, "name": "other"}
                    ]}]
                }
            }))
        };
        let known = AppPort { number: 8000, names: vec!["also".into()], host_port: Some(80) };
        assert_eq!(pod("http://127.0.0.1:8000").app_port, Some(known));
        assert_eq!(pod("nonsense").app_port, None);
    }

    #[test]
    fn a_pod_that_is_never_injected_says_why() {
        let plain = view(json!({"metadata": {"name": "a"}, "spec": {"containers": []}}));
        assert_eq!((plain.sidecar, plain.exempt), (None, None));
        let host = view(
            json!({"metadata": {"name": "a"}, "spec": {"containers": [], "hostNetwork": true}}),
        );
        assert!(host.exempt.is_some());
        let out = json!({"metadata": {"name": "a", "annotations": {"personaguard.dev/inject": "false"}}, "spec": {"containers": []}});
        assert!(view(out).exempt.is_some());
    }
}
