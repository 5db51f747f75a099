//! Whether a policy fits its placement, and the placement of the other policies for its model.

use crate::age::age;
use crate::rejection::Rejection;
use kube::ResourceExt;
use personaguard_api::conditions::reason;
use personaguard_api::{PersonaPolicy, Placement, TraitRule};
use std::collections::BTreeMap;

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

/// Checks that a policy with placement Proxy names a port and changes no activations, and that one
/// with placement Serve names no port.
pub(super) fn check_placement(policy: &PersonaPolicy) -> Result<(), Rejection> {
    let spec = &policy.spec;
    let invalid = |message| Err(Rejection::new(reason::PLACEMENT_INVALID, message));
    match (spec.placement, &spec.port) {
        (Placement::Serve, Some(_)) => {
            invalid("spec.port goes with placement Proxy: leave it out".to_owned())
        }
        (Placement::Proxy, None) => invalid(
            "placement Proxy takes over a container port: give its name in spec.port".to_owned(),
        ),
        (Placement::Proxy, Some(_)) => {
            if let Some(rule) = spec.traits.iter().find(|rule| !rule.action.works_in_proxy()) {
                return invalid(format!(
                    "trait `{}` has action {:?}, and another server writes the answers in \
                     placement Proxy: use Audit, Alert, Redact or Block",
                    rule.vector, rule.action
                ));
            }
            let steers = |rule: &&TraitRule| {
                rule.requests.is_some_and(|requests| requests.coefficient.is_some())
            };
            match spec.traits.iter().find(steers) {
                Some(rule) => invalid(format!(
                    "trait `{}` lets callers steer, and another server writes the answers in \
                     placement Proxy: leave requests.coefficient out",
                    rule.vector
                )),
                None => Ok(()),
            }
        }
        (Placement::Serve, None) => Ok(()),
    }
}

#[cfg(test)]
mod tests;
