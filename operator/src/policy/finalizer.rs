//! The finalizer of a policy: the policy goes once running sidecars no longer enforce it.

use super::dereference::Inputs;
use crate::context::{Context, Notice};
use crate::outcome::{ReconcileError, WriteError};
use kube::{Api, Resource, ResourceExt};
use personaguard_api::conditions::reason;
use personaguard_api::{PersonaPolicy, names};
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
) -> Result<(), ReconcileError> {
    if inputs.exclusion.is_some() {
        return Ok(());
    }
    for policy in inputs.policies.iter().filter(|policy| !has_finalizer(policy)) {
        let mut finalizers = policy.finalizers().to_vec();
        finalizers.push(names::FINALIZER.to_owned());
        write_finalizers(context, policy, &finalizers).await?;
    }
    Ok(())
}

/// Removes the finalizer from deleted policies that sidecars no longer enforce. Returns how long to
/// wait for the others.
pub(super) async fn release_finalizers(
    context: &Context,
    withdrawals: &Withdrawals,
    inputs: &Inputs,
) -> Result<Option<Duration>, ReconcileError> {
    let mut wait: Option<Duration> = None;
    for policy in inputs.deleted_policies.iter().filter(|policy| has_finalizer(policy)) {
        let uid = policy.uid().unwrap_or_default();
        let enforcing = pods_enforcing(inputs, &uid);
        let left = MAX_WAIT.saturating_sub(withdrawals.started(&uid).elapsed());
        if enforcing > 0 && !left.is_zero() {
            wait = wait.into_iter().chain([left]).min();
            continue;
        }
        release(context, policy, enforcing).await?;
        withdrawals.forget(&uid);
        let (namespace, policy) = (&inputs.scope.namespace, policy.name_any());
        context.metrics.remove_policy(namespace, &policy);
        tracing::info!(namespace, policy, "a policy was withdrawn");
    }
    Ok(wait)
}

fn pods_enforcing(inputs: &Inputs, uid: &str) -> usize {
    let reports = inputs.sidecar_pods().filter_map(|pod| inputs.reports.get(&pod.uid));
    reports.filter(|report| report.policies.iter().any(|known| known.uid == uid)).count()
}

async fn release(
    context: &Context,
    policy: &PersonaPolicy,
    enforcing: usize,
) -> Result<(), WriteError> {
    let note = match enforcing {
        0 => "No sidecar enforces it any more.".to_owned(),
        pods => format!(
            "Withdrawn. {pods} pods have not confirmed that yet; they stop enforcing it within 2 \
             minutes."
        ),
    };
    let notice = Notice::normal(reason::WITHDRAWN, "Withdraw", note);
    context.events.publish(&notice, &policy.object_ref(&())).await;
    let others: Vec<_> =
        policy.finalizers().iter().filter(|name| *name != names::FINALIZER).cloned().collect();
    write_finalizers(context, policy, &others).await
}

fn has_finalizer(policy: &PersonaPolicy) -> bool {
    policy.finalizers().iter().any(|name| name == names::FINALIZER)
}

/// Carries the resource version that was read, so that no finalizer of another controller is lost.
async fn write_finalizers(
    context: &Context,
    policy: &PersonaPolicy,
    finalizers: &[String],
) -> Result<(), WriteError> {
    let namespace = policy.namespace().unwrap_or_default();
    let api: Api<PersonaPolicy> = context.cluster.namespaced(&namespace);
    let version = &policy.metadata.resource_version;
    let patch = json!({ "metadata": { "resourceVersion": version, "finalizers": finalizers } });
    match context.cluster.merge_patch(&api, &policy.name_any(), &patch).await {
        Ok(written) => {
            if written.metadata.deletion_timestamp.is_none() {
                context.stores.policies.upsert_written(written, Some);
            }
            Ok(())
        }
        Err(error) if error.is_not_found() => Ok(()),
        Err(error) => Err(error),
    }
}
