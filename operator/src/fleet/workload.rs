//! From a pod to the workload that people know: the Deployment behind a ReplicaSet, the CronJob
//! behind a Job.

use crate::context::{Context, Key};
use crate::pods::{Owner, PodView};
use crate::reconcile::{Done, Failed};
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::{Api, Client};
use personaguard_api::WorkloadReference;

/// Controllers that are remembered at most; they are asked for again after.
const MAX_OWNERS: usize = 20_000;

/// The workload of a pod.
pub(crate) async fn of(context: &Context, pod: &PodView) -> kube::Result<WorkloadReference> {
    let Some(owner) = &pod.owner else {
        return Ok(WorkloadReference {
            api_version: "v1".to_owned(),
            kind: "Pod".to_owned(),
            name: pod.name.clone(),
            uid: pod.uid.clone(),
        });
    };
    if let Some(known) = context.fleet.lock().owners.get(&owner.uid) {
        return Ok(known.clone());
    }
    let found = behind(&context.cluster.client, &pod.namespace, owner).await?;
    let mut fleet = context.fleet.lock();
    if fleet.owners.len() >= MAX_OWNERS {
        fleet.owners.clear();
    }
    fleet.owners.insert(owner.uid.clone(), found.clone());
    Ok(found)
}

/// Looks up the workload of a controller that no pod of which has reported yet: its pods count as
/// guarded from now on.
pub(crate) async fn resolve_owner(
    context: &Context,
    namespace: &str,
    owner: &Owner,
) -> Result<Done, Failed> {
    let pod = PodView {
        namespace: namespace.to_owned(),
        owner: Some(owner.clone()),
        ..PodView::default()
    };
    let workload = of(context, &pod).await?;
    let name = personaguard_api::names::report(&workload.kind, &workload.name);
    context.queue.push(Key::Report(namespace.to_owned(), name));
    Ok(Done::idle("Resolved"))
}

async fn behind(
    client: &Client,
    namespace: &str,
    owner: &Owner,
) -> kube::Result<WorkloadReference> {
    let above = match (owner.api_version.as_str(), owner.kind.as_str()) {
        ("apps/v1", "ReplicaSet") => {
            let api: Api<ReplicaSet> = Api::namespaced(client.clone(), namespace);
            api.get_metadata_opt(&owner.name).await?.map(|object| object.metadata)
        }
        ("batch/v1", "Job") => {
            let api: Api<Job> = Api::namespaced(client.clone(), namespace);
            api.get_metadata_opt(&owner.name).await?.map(|object| object.metadata)
        }
        _ => None,
    };
    let controller = above
        .filter(|metadata| metadata.uid.as_ref() == Some(&owner.uid))
        .and_then(|metadata| metadata.owner_references)
        .and_then(|owners| owners.into_iter().find(|owner| owner.controller == Some(true)));
    Ok(match controller {
        Some(OwnerReference { api_version, kind, name, uid, .. }) => {
            WorkloadReference { api_version, kind, name, uid }
        }
        None => WorkloadReference {
            api_version: owner.api_version.clone(),
            kind: owner.kind.clone(),
            name: owner.name.clone(),
            uid: owner.uid.clone(),
        },
    })
}
