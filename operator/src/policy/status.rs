//! Step 5: says what was observed, and claims nothing that sidecars have not acknowledged.

mod bypass;
mod calibration;
mod engine;
mod guarded;
mod not_started;
mod observation;
mod staleness;

use super::dereference::Inputs;
use super::validate::Validated;
use crate::context::{Context, Notice};
use crate::fleet::Fleet;
use crate::outcome::{FailedWrites, NotLeader, WriteError};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{Api, Resource, ResourceExt};
pub(super) use observation::Observation;
use personaguard_api::conditions::{condition, event, reason};
use personaguard_api::{Digest, PersonaPolicy, PersonaPolicyStatus};
use std::time::Duration;

/// Updates the status of each policy of the scope. Returns after how long one changes even if
/// nothing happens.
pub(super) async fn update_status(
    context: &Context,
    fleet: &Fleet,
    inputs: &Inputs,
    validated: &Validated,
    failed: &mut FailedWrites,
) -> Result<Option<Duration>, NotLeader> {
    let namespace = &inputs.scope.namespace;
    let workloads = fleet.scores_within(namespace);
    let refusal = failed.refusal();
    let mut changes_in: Option<Duration> = None;
    for policy in &inputs.policies {
        let name = policy.name_any();
        let in_force = validated.in_force(&name);
        let sampled = |vector: &str, basis: &Digest| fleet.sample(namespace, &name, vector, basis);
        let observation = Observation {
            policy,
            inputs,
            validated,
            refusal: refusal.as_deref(),
            calibrations: calibration::calibrations(policy, in_force, sampled),
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
            failed.keep(write(context, policy, status).await)?;
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
    let written =
        context.write_status(&api, &context.stores.policies, &policy.name_any(), status).await;
    // People are told also while the status itself is refused.
    if !matches!(written, Ok(false)) {
        for notice in notices(policy.status.as_ref(), status) {
            context.events.publish(&notice, &policy.object_ref(&())).await;
        }
    }
    written.map(drop)
}

/// What people are told once: that the policy is not accepted, or that a write is refused, where it
/// was not so before, or for another reason.
fn notices(before: Option<&PersonaPolicyStatus>, after: &PersonaPolicyStatus) -> Vec<Notice> {
    let refused = |problem: &&Condition| problem.reason == reason::WRITE_REFUSED;
    let problem = |status, type_| {
        problem(status, type_).filter(|it| type_ != condition::READY || refused(it))
    };
    let new = [condition::ACCEPTED, condition::READY].into_iter().filter_map(|type_| {
        let found = problem(after, type_)?;
        let known = before.and_then(|before| problem(before, type_));
        (known.map(|known| &known.reason) != Some(&found.reason)).then_some(found)
    });
    let notice = |problem: &Condition| {
        let event = match problem.reason.as_str() {
            reason::WRITE_REFUSED => event::WRITE_REFUSED,
            reason::UNREADABLE => event::UNREADABLE,
            other => event::rejection(other)?,
        };
        Some(Notice::new(&event, problem.message.clone()))
    };
    new.filter_map(notice).collect()
}

fn problem<'a>(status: &'a PersonaPolicyStatus, type_: &str) -> Option<&'a Condition> {
    status.conditions.iter().find(|c| c.type_ == type_ && c.status == "False")
}

#[cfg(test)]
mod tests;
