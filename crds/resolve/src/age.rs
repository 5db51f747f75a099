//! Which of two policies that contradict each other stands.

use jiff::Timestamp;
use kube::ResourceExt;
use personaguard_api::PersonaPolicy;

/// Creation time, then name. Of two policies that contradict each other, the one that comes first in
/// this order stands. Without a cluster all are equally old.
#[must_use]
pub fn age(policy: &PersonaPolicy) -> (Timestamp, String) {
    (policy.creation_timestamp().map_or(Timestamp::MIN, |time| time.0), policy.name_any())
}
