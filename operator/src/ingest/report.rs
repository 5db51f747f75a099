//! Reports of sidecars.

use super::error::PushError;
use super::identity::PodIdentity;
use super::pod_answers::PodAnswers;
use super::proof::signer;
use crate::context::Context;
use crate::fleet::Fleet;
use crate::objects::PodView;
use axum::http::HeaderMap;
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, ResourceExt};
use personaguard_wire::SidecarReport;
use std::net::IpAddr;
use std::sync::Arc;

/// A push, and whose it is.
#[derive(Clone, Copy)]
pub(super) struct Push<'a> {
    pub(super) identity: &'a PodIdentity,
    /// Where the connection comes from.
    pub(super) peer: IpAddr,
    pub(super) headers: &'a HeaderMap,
    pub(super) body: &'a [u8],
}

pub(super) async fn accept(
    context: &Context,
    fleet: &Fleet,
    answers: &PodAnswers,
    Push { identity, peer, headers, body }: Push<'_>,
) -> Result<(), PushError> {
    let signer = signer(headers, body)?;
    let mut report: SidecarReport =
        serde_json::from_slice(body).map_err(|error| PushError::Malformed(error.to_string()))?;
    report.validate().map_err(|error| PushError::Malformed(error.to_string()))?;
    if report.instance != signer {
        return Err(PushError::Forbidden("another process signed it".to_owned()));
    }
    let pod = stored_pod(context, identity).await?;
    // What the pod was given says which model it is, not its report.
    report.model.name = pod.sidecar.clone().unwrap_or_default();
    let own_address = pod.addresses.contains(&peer.to_canonical());
    let workload = fleet.workload_of(&pod).await.map_err(|_| PushError::Overloaded)?;
    let mut recorded = fleet.record(&pod, own_address, &workload, &report);
    // Where addresses do not arrive, the pod itself says who is right.
    if recorded.is_err() && !own_address && answers.is_sidecar(&pod, &report.instance).await {
        recorded = fleet.record(&pod, true, &workload, &report);
    }
    for (key, at) in recorded? {
        context.queue.push_at(key, at);
    }
    Ok(())
}

/// The pod from the store. The store may lag behind, so the API server is asked about a missing pod
/// before the push is answered with 410.
async fn stored_pod(context: &Context, identity: &PodIdentity) -> Result<Arc<PodView>, PushError> {
    let stored = context.stores.pods.get(&identity.namespace, &identity.name);
    match stored.filter(|pod| pod.uid == identity.uid) {
        Some(pod) if pod.sidecar.is_some() => Ok(pod),
        Some(pod) => Err(PushError::Forbidden(format!("pod {} has no sidecar", pod.name))),
        None => {
            let api: Api<Pod> = context.cluster.namespaced(&identity.namespace);
            let pod = api.get_metadata_opt(&identity.name).await;
            let pod = pod.map_err(|_| PushError::Overloaded)?;
            let exists = pod.is_some_and(|pod| pod.uid().as_ref() == Some(&identity.uid));
            Err(if exists { PushError::Overloaded } else { PushError::Gone })
        }
    }
}
