//! Looks for workloads that cannot create their pods: by a quota, or because admission refuses
//! them.

use crate::objects::{FailedCreation, Refusal};
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{DaemonSet, ReplicaSet, StatefulSet};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Event, PodTemplateSpec};
use kube::api::ListParams;
use kube::{Api, Client};
use std::collections::{BTreeMap, BTreeSet};

/// Events that are looked at, and workloads at most.
const MAX_EVENTS: u32 = 100;
const MAX_WORKLOADS: usize = 10;

/// What there is. It only explains, so a failure to look is none of the policy's.
pub(super) async fn look(client: &Client, namespace: &str) -> Vec<FailedCreation> {
    let api: Api<Event> = Api::namespaced(client.clone(), namespace);
    let params = ListParams::default().fields("reason=FailedCreate").limit(MAX_EVENTS);
    let events = match api.list(&params).await {
        Ok(events) => events.items,
        Err(error) => {
            tracing::debug!(namespace, %error, "Events could not be read");
            return Vec::new();
        }
    };
    let now = Timestamp::now();
    let refusals: BTreeSet<_> =
        events.iter().filter_map(|event| Refusal::of(event, now)).take(MAX_WORKLOADS).collect();
    let mut failed = Vec::new();
    for Refusal { kind, name, why } in refusals {
        let template = template(client, namespace, &kind, &name).await.ok().flatten();
        if let Some(labels) = template.map(labels) {
            failed.push(FailedCreation { workload: format!("{kind} {name}"), labels, why });
        }
    }
    failed
}

/// The template of a workload's pods, if it still exists.
async fn template(
    client: &Client,
    namespace: &str,
    kind: &str,
    name: &str,
) -> kube::Result<Option<PodTemplateSpec>> {
    let client = client.clone();
    Ok(match kind {
        "ReplicaSet" => {
            let api: Api<ReplicaSet> = Api::namespaced(client, namespace);
            api.get_opt(name).await?.and_then(|found| found.spec).and_then(|spec| spec.template)
        }
        "StatefulSet" => {
            let api: Api<StatefulSet> = Api::namespaced(client, namespace);
            api.get_opt(name).await?.and_then(|found| found.spec).map(|spec| spec.template)
        }
        "DaemonSet" => {
            let api: Api<DaemonSet> = Api::namespaced(client, namespace);
            api.get_opt(name).await?.and_then(|found| found.spec).map(|spec| spec.template)
        }
        "Job" => {
            let api: Api<Job> = Api::namespaced(client, namespace);
            api.get_opt(name).await?.and_then(|found| found.spec).map(|spec| spec.template)
        }
        _ => None,
    })
}

fn labels(template: PodTemplateSpec) -> BTreeMap<String, String> {
    template.metadata.and_then(|metadata| metadata.labels).unwrap_or_default()
}
