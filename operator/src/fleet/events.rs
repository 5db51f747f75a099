//! Events about breaches and drift.

use super::breach::comparison;
use super::counts::NewBreach;
use super::workload::{display_name, object_reference};
use crate::context::{Context, Notice};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::Resource as _;
use personaguard_api::conditions::{condition, event, reason};
use personaguard_api::{Mode, PersonaReportStatus, WorkloadReference};

/// Publishes Events on the workload and on the policy. Action `Audit` and mode `Audit` make no
/// Events.
pub(super) async fn announce_breaches(
    context: &Context,
    namespace: &str,
    workload: &WorkloadReference,
    breaches: &[NewBreach],
) {
    let name = display_name(workload);
    let tells = |new: &&NewBreach| new.mode == Mode::Enforce && new.action.notifies();
    for new in breaches.iter().filter(tells) {
        let note = format!(
            "{} in {name} under policy {} (pod {}, response {}).",
            comparison(&new.vector, new.score, &new.breach),
            new.policy,
            new.pod,
            new.breach.response_id
        );
        let notice = Notice::new(&event::TRAIT_BREACHED, note);
        context.events.publish(&notice, &object_reference(namespace, workload)).await;
        if let Some(policy) = context.stores.policies.get(namespace, &new.policy) {
            context.events.publish(&notice, &policy.object_ref(&())).await;
        }
        tracing::info!(
            namespace,
            workload = name,
            policy = new.policy,
            vector = new.vector,
            score = new.breach.score,
            threshold = new.breach.threshold,
            "a trait is past its threshold"
        );
    }
}

/// Publishes an Event on the workload if `AuditLogIntact` has just become False, or for another
/// reason.
pub(super) async fn announce_audit_log_gap(
    context: &Context,
    namespace: &str,
    workload: &WorkloadReference,
    before: Option<&PersonaReportStatus>,
    after: &PersonaReportStatus,
) {
    let Some(gap) = audit_log_gap(after) else { return };
    if before.and_then(audit_log_gap).is_none_or(|known| known.reason != gap.reason) {
        tracing::warn!(
            namespace,
            workload = display_name(workload),
            reason = gap.reason,
            "audit log"
        );
        let event = if gap.reason == reason::LOG_CUT { event::LOG_CUT } else { event::LOG_GAP };
        let notice = Notice::new(&event, gap.message.clone());
        context.events.publish(&notice, &object_reference(namespace, workload)).await;
    }
}

fn audit_log_gap(status: &PersonaReportStatus) -> Option<&Condition> {
    let unmet = |c: &&Condition| c.type_ == condition::AUDIT_LOG_INTACT && c.status == "False";
    status.conditions.iter().find(unmet)
}

/// Publishes an Event on the workload if `DriftDetected` has just become True.
pub(super) async fn announce_drift(
    context: &Context,
    namespace: &str,
    workload: &WorkloadReference,
    before: Option<&PersonaReportStatus>,
    after: &PersonaReportStatus,
) {
    if before.and_then(drift).is_some() {
        return;
    }
    if let Some(drift) = drift(after) {
        let notice = Notice::new(&event::DRIFT_DETECTED, drift.message.clone());
        context.events.publish(&notice, &object_reference(namespace, workload)).await;
    }
}

fn drift(status: &PersonaReportStatus) -> Option<&Condition> {
    let met = |c: &&Condition| c.type_ == condition::DRIFT_DETECTED && c.status == "True";
    status.conditions.iter().find(met)
}
