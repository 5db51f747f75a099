//! Step 5: says what was observed, and claims nothing that sidecars have not acknowledged.

mod bypass;
mod calibration;
mod guarded;
mod not_started;
mod observation;

use super::dereference::Inputs;
use super::validate::Validated;
use crate::context::{Context, Notice};
use crate::fleet::Fleet;
use crate::outcome::{ReconcileError, WriteError};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{Api, Resource, ResourceExt};
pub(super) use observation::Observation;
use personaguard_api::conditions::condition;
use personaguard_api::{Digest, PersonaPolicy, PersonaPolicyStatus};
use std::time::Duration;

/// Updates the status of each policy of the scope. Returns after how long one changes even if
/// nothing happens.
pub(super) async fn update_status(
    context: &Context,
    fleet: &Fleet,
    inputs: &Inputs,
    validated: &Validated,
) -> Result<Option<Duration>, ReconcileError> {
    let namespace = &inputs.scope.namespace;
    let workloads = fleet.scores_within(namespace);
    let mut changes_in: Option<Duration> = None;
    for policy in &inputs.policies {
        let name = policy.name_any();
        let in_force = validated.in_force(&name);
        let sampled = |vector: &str, basis: &Digest| fleet.sample(namespace, &name, vector, basis);
        let observation = Observation {
            policy,
            model: &inputs.scope.model,
            rejection: validated.rejected.get(&name),
            in_force,
            calibrations: calibration::calibrations(policy, in_force, sampled),
            pods: &inputs.pods,
            services: &inputs.services,
            failed_creations: &inputs.failed_creations,
            reports: &inputs.reports,
            workloads: &workloads,
            now: Timestamp::now(),
        };
        let observed = observation.status();
        changes_in = changes_in
            .into_iter()
            .chain(observed.changes_in)
            .chain(calibration::check_interval(in_force))
            .min();
        let status = &observed.status;
        context.metrics.set_policy(namespace, &name, is_ready(status), observed.unguarded);
        if policy.status.as_ref() != Some(status) {
            write(context, policy, status).await?;
        }
    }
    Ok(changes_in)
}

/// Unknown counts as ready: there is nothing to guard.
fn is_ready(status: &PersonaPolicyStatus) -> bool {
    status.conditions.iter().any(|c| c.type_ == condition::READY && c.status != "False")
}

async fn write(
    context: &Context,
    policy: &PersonaPolicy,
    status: &PersonaPolicyStatus,
) -> Result<(), WriteError> {
    let api: Api<PersonaPolicy> =
        context.cluster.namespaced(&policy.namespace().unwrap_or_default());
    let exists =
        context.write_status(&api, &context.stores.policies, &policy.name_any(), status).await?;
    if exists && let Some(problem) = new_problem(policy.status.as_ref(), status) {
        let notice = Notice::warning(&problem.reason, "Accept", problem.message.clone());
        context.events.publish(&notice, &policy.object_ref(&())).await;
    }
    Ok(())
}

/// The condition `Accepted`, if it has just become False, or has become False for another reason.
fn new_problem<'a>(
    before: Option<&PersonaPolicyStatus>,
    after: &'a PersonaPolicyStatus,
) -> Option<&'a Condition> {
    let problem = rejection(after)?;
    let known = before.and_then(rejection);
    (known.map(|known| &known.reason) != Some(&problem.reason)).then_some(problem)
}

fn rejection(status: &PersonaPolicyStatus) -> Option<&Condition> {
    status.conditions.iter().find(|c| c.type_ == condition::ACCEPTED && c.status == "False")
}

#[cfg(test)]
mod tests;
