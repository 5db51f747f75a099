//! Which policies for one model can stand beside each other: they have one placement, the oldest
//! one's.

use crate::rejection::Rejection;
use jiff::Timestamp;
use kube::ResourceExt;
use personaguard_api::PersonaPolicy;
use personaguard_api::conditions::reason;
use std::collections::BTreeMap;

/// Creation time, then name. Of two policies that contradict each other, the one that comes first
/// in this order stands. Without a cluster all are equally old.
#[must_use]
pub fn age(policy: &PersonaPolicy) -> (Timestamp, String) {
    (policy.creation_timestamp().map_or(Timestamp::MIN, |time| time.0), policy.name_any())
}

/// Policies whose placement or port differs from that of the oldest one, by name: a pod has one
/// sidecar for each model, and that has one placement.
#[must_use]
pub fn misplaced<'a>(
    policies: impl IntoIterator<Item = &'a PersonaPolicy>,
) -> BTreeMap<String, Rejection> {
    let policies: Vec<_> = policies.into_iter().collect();
    let Some(oldest) = policies.iter().min_by_key(|policy| age(policy)) else {
        return BTreeMap::new();
    };
    let place = |policy: &PersonaPolicy| (policy.spec.placement, policy.spec.port.clone());
    let other = policies.iter().filter(|policy| place(policy) != place(oldest));
    let rejection = || {
        let (placement, port) = place(oldest);
        let port = port.map(|port| format!(" on port `{port}`")).unwrap_or_default();
        let message = format!(
            "the older policy `{}` for this model has placement {placement:?}{port}: use the same \
             here, or another namespace",
            oldest.name_any()
        );
        Rejection::new(reason::PLACEMENT_CONFLICT, message)
    };
    other.map(|policy| (policy.name_any(), rejection())).collect()
}

#[cfg(test)]
mod tests;
