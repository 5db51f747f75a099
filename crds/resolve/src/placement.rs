//! Which policies for one model can stand beside each other: they have one placement, the oldest
//! one's.

use crate::placed::fits_engine;
use crate::rejection::Rejection;
use jiff::Timestamp;
use kube::ResourceExt;
use personaguard_api::conditions::reason;
use personaguard_api::{PersonaModel, PersonaPolicy};
use std::collections::BTreeMap;

/// Creation time, then name. Of two policies that contradict each other, the one that comes first
/// in this order stands. Without a cluster all are equally old.
#[must_use]
pub fn age(policy: &PersonaPolicy) -> (Timestamp, String) {
    (policy.creation_timestamp().map_or(Timestamp::MIN, |time| time.0), policy.name_any())
}

/// Policies whose placement does not go with the model's engine, and those whose placement or port
/// differs from that of the oldest other one, by name: a pod has one sidecar for each model, and
/// that has one placement.
#[must_use]
pub fn misplaced<'a>(
    model: &PersonaModel,
    all: impl IntoIterator<Item = &'a PersonaPolicy>,
) -> BTreeMap<String, Rejection> {
    let (mut policies, mut misplaced) = (Vec::new(), BTreeMap::new());
    for policy in all {
        match fits_engine(policy, model) {
            Ok(()) => policies.push(policy),
            Err(rejection) => {
                misplaced.insert(policy.name_any(), rejection);
            }
        }
    }
    let Some(oldest) = policies.iter().min_by_key(|policy| age(policy)) else {
        return misplaced;
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
    misplaced.extend(other.map(|policy| (policy.name_any(), rejection())));
    misplaced
}

#[cfg(test)]
mod tests;
