//! From a pod to the workload that people know: the Deployment behind a ReplicaSet, the CronJob
//! behind a Job.

use crate::keys::Owner;
use crate::objects::PodView;
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::{Api, Client};
use personaguard_api::WorkloadReference;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Owners that are remembered. Past this number all are forgotten, and looked up again.
const MAX_OWNERS: usize = 20_000;

/// The workloads of the owners that were looked up, by the owner's UID.
pub(super) struct Owners {
    client: Client,
    known: Mutex<HashMap<String, WorkloadReference>>,
}

impl Owners {
    pub(super) fn new(client: Client) -> Self {
        Self { client, known: Mutex::default() }
    }

    /// The workload of a pod, if it is known without a look-up.
    pub(super) fn known_workload(&self, pod: &PodView) -> Option<WorkloadReference> {
        match &pod.owner {
            None => Some(pod_itself(pod)),
            Some(owner) => self.known().get(&owner.uid).cloned(),
        }
    }

    pub(super) fn is_known(&self, owner: &Owner) -> bool {
        self.known().contains_key(&owner.uid)
    }

    pub(super) async fn workload_of(&self, pod: &PodView) -> kube::Result<WorkloadReference> {
        match &pod.owner {
            None => Ok(pod_itself(pod)),
            Some(owner) => self.workload_behind(&pod.namespace, owner).await,
        }
    }

    pub(super) async fn workload_behind(
        &self,
        namespace: &str,
        owner: &Owner,
    ) -> kube::Result<WorkloadReference> {
        if let Some(known) = self.known().get(&owner.uid) {
            return Ok(known.clone());
        }
        let workload = look_up(&self.client, namespace, owner).await?;
        let mut known = self.known();
        if known.len() >= MAX_OWNERS {
            known.clear();
        }
        known.insert(owner.uid.clone(), workload.clone());
        Ok(workload)
    }

    fn known(&self) -> MutexGuard<'_, HashMap<String, WorkloadReference>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The workload of a pod without an owner.
fn pod_itself(pod: &PodView) -> WorkloadReference {
    WorkloadReference {
        api_version: "v1".to_owned(),
        kind: "Pod".to_owned(),
        name: pod.name.clone(),
        uid: pod.uid.clone(),
    }
}

async fn look_up(
    client: &Client,
    namespace: &str,
    owner: &Owner,
) -> kube::Result<WorkloadReference> {
    let metadata = owner_metadata(client, namespace, owner).await?;
    let controller = metadata
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

/// Only of kinds that have a controller themselves.
async fn owner_metadata(
    client: &Client,
    namespace: &str,
    owner: &Owner,
) -> kube::Result<Option<ObjectMeta>> {
    let object = match (owner.api_version.as_str(), owner.kind.as_str()) {
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
    Ok(object)
}
