//! Condition `AuditLogIntact`: whether the audit logs of a workload's pods still hold all that they
//! held. Pure.

use crate::objects::conditions::NewCondition;
use personaguard_api::conditions::{condition, reason};
use personaguard_api::{AuditLogCut, PodCounts};

/// Pods whose audit log went back behind what was reported, or tells of a gap.
pub(super) fn pods_with_gaps<'a>(
    pods: impl Iterator<Item = &'a PodCounts>,
) -> impl Iterator<Item = &'a PodCounts> {
    pods.filter(|pod| pod.audit_log.as_ref().is_some_and(|log| log.cut.is_some() || log.gaps > 0))
}

/// The condition; none where no pod has an audit log.
pub(super) fn audit_log_intact<'a>(
    pods: impl Iterator<Item = &'a PodCounts>,
) -> Option<NewCondition> {
    let pods: Vec<_> = pods.filter(|pod| pod.audit_log.is_some()).collect();
    let logs = pods.len();
    if logs == 0 {
        return None;
    }
    let with_gaps: Vec<_> = pods_with_gaps(pods.into_iter()).collect();
    let cut = with_gaps.iter().find_map(|pod| Some((pod, pod.audit_log.as_ref()?.cut.as_ref()?)));
    let (first, count) = match with_gaps.as_slice() {
        [] => {
            let message = format!("Each of {logs} audit logs has only grown.");
            let (name, reason) = (condition::AUDIT_LOG_INTACT, reason::LOGS_CONTINUOUS);
            return Some(NewCondition::met(name, reason, message));
        }
        [first, ..] => (first, with_gaps.len()),
    };
    let of = format!("{count} of {logs} pods");
    Some(match cut {
        Some((pod, AuditLogCut { expected, found, .. })) => NewCondition::unmet(
            condition::AUDIT_LOG_INTACT,
            reason::LOG_CUT,
            format!(
                "The audit log of pod {} had line {} ({}…), and then went on after line {} ({}…): \
                 lines were removed or replaced. {of} are concerned. Keep what is there (kubectl \
                 cp), and find out who could write to the pod's volume.",
                pod.name,
                expected.sequence,
                expected.hash.short(),
                found.sequence,
                found.hash.short()
            ),
        ),
        None => NewCondition::unmet(
            condition::AUDIT_LOG_INTACT,
            reason::LOG_GAP,
            format!(
                "The audit log of pod {} tells of gaps: a start found it cut, damaged or torn. \
                 {of} \
                 are concerned. See: kubectl exec {} -c personaguard -- personaguard audit verify \
                 /tmp/audit.jsonl",
                first.name, first.name
            ),
        ),
    })
}

#[cfg(test)]
mod tests;
