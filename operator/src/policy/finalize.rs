//! The finalizer of a policy: it goes when running sidecars have let go of it.

use super::dereference::Inputs;
use crate::context::Context;
use crate::events::Notice;
use crate::reconcile::Failed;
use kube::{Api, Resource, ResourceExt};
use personaguard_api::conditions::reason;
use personaguard_api::{PersonaPolicy, names};
use serde_json::json;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long sidecars are waited for. The config without the policy is written by then, so they will
/// follow.
const PATIENCE: Duration = Duration::from_secs(10);

/// Puts the finalizer on policies that are about to reach sidecars.
pub(super) async fn hold(context: &Context, inputs: &Inputs) -> Result<(), Failed> {
    if inputs.excluded.is_some() {
        return Ok(());
    }
    for policy in inputs.policies.iter().filter(|policy| !held(policy)) {
        let mut finalizers = policy.finalizers().to_vec();
        finalizers.push(names::FINALIZER.to_owned());
        write(context, policy, &finalizers).await?;
    }
    Ok(())
}

/// Takes the finalizer from policies that sidecars have let go of; gives how long to wait for the
/// rest.
pub(super) async fn release(
    context: &Context,
    inputs: &Inputs,
) -> Result<Option<Duration>, Failed> {
    let mut wait = None;
    for policy in inputs.leaving.iter().filter(|policy| held(policy)) {
        let uid = policy.uid().unwrap_or_default();
        let holding = inputs.guarded_pods().filter_map(|pod| inputs.reports.get(&pod.uid));
        let holding =
            holding.filter(|report| report.policies.iter().any(|known| known.uid == uid)).count();
        let left = PATIENCE.saturating_sub(context.withdrawals.since(&uid).elapsed());
        if holding > 0 && !left.is_zero() {
            wait = Some(wait.map_or(left, |wait: Duration| wait.min(left)));
            continue;
        }
        let note = match holding {
            0 => "No sidecar enforces it any more.".to_owned(),
            pods => format!(
                "Withdrawn. {pods} pods have not confirmed yet that they let go of it; they will within 2 minutes."
            ),
        };
        context
            .events
            .publish(&Notice::normal(reason::WITHDRAWN, "Withdraw", note), &policy.object_ref(&()))
            .await;
        let others: Vec<_> =
            policy.finalizers().iter().filter(|name| *name != names::FINALIZER).cloned().collect();
        write(context, policy, &others).await?;
        context.withdrawals.forget(&uid);
        context.metrics.policy_gone(&inputs.scope.namespace, &policy.name_any());
        tracing::info!(
            namespace = inputs.scope.namespace,
            policy = policy.name_any(),
            "a policy was withdrawn"
        );
    }
    Ok(wait)
}

fn held(policy: &PersonaPolicy) -> bool {
    policy.finalizers().iter().any(|name| name == names::FINALIZER)
}

/// Since when policies are being withdrawn by this process, by UID.
#[derive(Debug, Default)]
pub(crate) struct Withdrawals(Mutex<HashMap<String, Instant>>);

impl Withdrawals {
    fn since(&self, uid: &str) -> Instant {
        *self.lock().entry(uid.to_owned()).or_insert_with(Instant::now)
    }

    fn forget(&self, uid: &str) {
        self.lock().remove(uid);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Names the version that was read, so that no finalizer of another is lost.
async fn write(
    context: &Context,
    policy: &Arc<PersonaPolicy>,
    finalizers: &[String],
) -> Result<(), Failed> {
    let namespace = policy.namespace().unwrap_or_default();
    let api: Api<PersonaPolicy> = Api::namespaced(context.cluster.client.clone(), &namespace);
    let patch = json!({
        "metadata": { "resourceVersion": policy.metadata.resource_version, "finalizers": finalizers }
    });
    match context.cluster.merge(&api, &policy.name_any(), &patch).await {
        Ok(written) => {
            if written.metadata.deletion_timestamp.is_none() {
                context.world.policies.absorb(written, Some);
            }
            Ok(())
        }
        Err(error) if error.is_not_found() => Ok(()),
        Err(error) => Err(error.into()),
    }
}
