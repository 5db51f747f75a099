//! The finalizer of a policy: the policy goes once running sidecars no longer enforce it.

use super::dereference::Inputs;
use crate::context::{Context, Notice};
use crate::outcome::{FailedWrites, NotLeader, WriteError};
use k8s_openapi::api::core::v1::ObjectReference;
use kube::core::{ObjectMeta, PartialObjectMeta};
use kube::{Api, ResourceExt};
use personaguard_api::conditions::event;
use personaguard_api::{API_VERSION, PersonaPolicy, names};
use serde_json::json;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// For how long a deleted policy waits for its sidecars. By then the config without it is written,
/// so they will follow.
const MAX_WAIT: Duration = Duration::from_secs(10);

/// When this process began to withdraw a policy, by UID.
#[derive(Debug, Default)]
pub(super) struct Withdrawals(Mutex<HashMap<String, Instant>>);

impl Withdrawals {
    fn started(&self, uid: &str) -> Instant {
        *self.lock().entry(uid.to_owned()).or_insert_with(Instant::now)
    }

    fn forget(&self, uid: &str) {
        self.lock().remove(uid);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Adds the finalizer to policies that are about to reach sidecars.
pub(super) async fn add_finalizers(
    context: &Context,
    inputs: &Inputs,
    failed: &mut FailedWrites,
) -> Result<(), NotLeader> {
    if inputs.exclusion.is_some() {
        return Ok(());
    }
    for policy in inputs.policies.iter().filter(|policy| !has_finalizer(&policy.metadata)) {
        let mut finalizers = policy.finalizers().to_vec();
        finalizers.push(names::FINALIZER.to_owned());
        failed.keep(write_finalizers(context, &policy.metadata, &finalizers).await)?;
    }
    Ok(())
}

/// Removes the finalizer from deleted policies that sidecars no longer enforce, also from those
/// that cannot be read. Returns how long to wait for the others.
pub(super) async fn release_finalizers(
    context: &Context,
    withdrawals: &Withdrawals,
    inputs: &Inputs,
    failed: &mut FailedWrites,
) -> Result<Option<Duration>, NotLeader> {
    let mut wait: Option<Duration> = None;
    let refusal = failed.refusal();
    for policy in inputs.deleted_policies.iter().filter(|policy| has_finalizer(policy)) {
        let uid = policy.uid.clone().unwrap_or_default();
        let enforcing = pods_enforcing(inputs, &uid);
        let left = MAX_WAIT.saturating_sub(withdrawals.started(&uid).elapsed());
        if enforcing > 0 && !left.is_zero() {
            wait = wait.into_iter().chain([left]).min();
            continue;
        }
        let note = note(enforcing, refusal.as_deref());
        let Some(()) = failed.keep(release(context, policy, note).await)? else { continue };
        withdrawals.forget(&uid);
        let (namespace, policy) = (&inputs.scope.namespace, policy.name.as_deref().unwrap_or(""));
        context.metrics.remove_policy(namespace, policy);
        tracing::info!(namespace, policy, "a policy was withdrawn");
    }
    Ok(wait)
}

/// Pods with the sidecar of any model: the policy may have had another before.
fn pods_enforcing(inputs: &Inputs, uid: &str) -> usize {
    let reports = inputs.pods.iter().filter_map(|pod| inputs.reports.get(&pod.uid));
    reports.filter(|report| report.policies.iter().any(|known| known.uid == uid)).count()
}

fn note(enforcing: usize, refusal: Option<&str>) -> String {
    match (enforcing, refusal) {
        (0, _) => "No sidecar enforces it any more.".to_owned(),
        (pods, Some(refusal)) => format!(
            "Withdrawn, but {pods} pods enforce it until their config can be written: the API \
             server refuses {refusal}"
        ),
        (pods, None) => format!(
            "Withdrawn. {pods} pods have not confirmed that yet; they stop enforcing it within 2 \
             minutes."
        ),
    }
}

async fn release(context: &Context, policy: &ObjectMeta, note: String) -> Result<(), WriteError> {
    let notice = Notice::new(&event::WITHDRAWN, note);
    context.events.publish(&notice, &reference(policy)).await;
    let finalizers = policy.finalizers.iter().flatten();
    let others: Vec<_> = finalizers.filter(|name| *name != names::FINALIZER).cloned().collect();
    write_finalizers(context, policy, &others).await
}

fn reference(policy: &ObjectMeta) -> ObjectReference {
    ObjectReference {
        api_version: Some(API_VERSION.to_owned()),
        kind: Some("PersonaPolicy".to_owned()),
        name: policy.name.clone(),
        namespace: policy.namespace.clone(),
        uid: policy.uid.clone(),
        ..ObjectReference::default()
    }
}

fn has_finalizer(policy: &ObjectMeta) -> bool {
    policy.finalizers.iter().flatten().any(|name| name == names::FINALIZER)
}

/// Carries the resource version that was read, so that no finalizer of another controller is lost.
async fn write_finalizers(
    context: &Context,
    policy: &ObjectMeta,
    finalizers: &[String],
) -> Result<(), WriteError> {
    let namespace = policy.namespace.as_deref().unwrap_or_default();
    // The answer is not read any further: the rest of it may be of a newer version.
    let api: Api<PartialObjectMeta<PersonaPolicy>> = context.cluster.namespaced(namespace);
    let version = &policy.resource_version;
    let patch = json!({ "metadata": { "resourceVersion": version, "finalizers": finalizers } });
    let name = policy.name.as_deref().unwrap_or_default();
    match context.cluster.merge_patch(&api, name, &patch).await {
        Err(error) if !error.is_not_found() => Err(error),
        _ => Ok(()),
    }
}
