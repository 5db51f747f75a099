//! Whether a pod's audit log only ever grew, by the positions that its sidecars reported. Pure.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use personaguard_api::{AuditLogCut, AuditLogHead, AuditLogStatus, PodCounts};
use personaguard_wire::{LogHead, SidecarReport};

/// Where the log stands after a push. A process that continues a log says where; from then on it
/// says where it is. Neither may lie before what is known, or at the same line with another hash.
/// What is known outlives processes that report no log.
pub(super) fn after(
    known: Option<&PodCounts>,
    report: &SidecarReport,
    now: Timestamp,
) -> Option<AuditLogStatus> {
    let before = known.and_then(|known| known.audit_log.as_ref());
    let Some(log) = &report.audit_log else { return before.cloned() };
    let same_process = known.is_some_and(|known| known.instance == report.instance);
    let found = if same_process { &log.head } else { &log.opened };
    let cut = before.and_then(|before| {
        let new = went_back(before, found).then(|| AuditLogCut {
            at: Time(Timestamp::from_second(now.as_second()).unwrap_or(now)),
            expected: AuditLogHead { sequence: before.sequence, hash: before.hash.clone() },
            found: AuditLogHead { sequence: found.sequence, hash: found.hash.clone() },
        });
        new.or_else(|| before.cut.clone())
    });
    let LogHead { sequence, hash } = log.head.clone();
    Some(AuditLogStatus { sequence, hash, gaps: log.gaps, cut })
}

fn went_back(known: &AuditLogStatus, found: &LogHead) -> bool {
    found.sequence < known.sequence
        || (found.sequence == known.sequence && found.hash != known.hash)
}

#[cfg(test)]
mod tests;
