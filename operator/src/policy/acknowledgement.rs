//! What sidecars acknowledge. Pure.

use personaguard_api::PodCounts;
use personaguard_wire::ResolvedPolicy;

/// Whether a sidecar enforces a policy exactly as it was resolved.
pub(super) fn acknowledges(report: &PodCounts, policy: &ResolvedPolicy) -> bool {
    report.policies.iter().any(|known| {
        known.uid == policy.uid
            && known.generation == policy.generation
            && known.digest.is_some()
            && known.digest == policy.digest
    })
}
