//! Policies that fail closed and whose pods can get no sidecar, since nothing can be injected for
//! them: their pods must not start. Pure.

use super::Plan;
use crate::policy::dereference::Inputs;
use crate::policy::stored::Stored;
use kube::ResourceExt;
use personaguard_api::{FailurePolicy, Mode, PersonaPolicy};
use std::sync::Arc;

/// `None` where something cannot be read, so that it stays as it is which pods may start.
pub(super) fn refused(
    inputs: &Inputs,
    stored: &Stored,
    plan: &Plan,
) -> Option<Vec<Arc<PersonaPolicy>>> {
    if !inputs.unreadable.is_empty() || matches!(stored, Stored::Unreadable) {
        return None;
    }
    let has_sidecars = |policy: &PersonaPolicy| {
        let uid = policy.metadata.uid.as_deref().unwrap_or_default();
        let here = match plan {
            Plan::Guard(guard) => {
                guard.injecting.iter().any(|it| it.name_any() == policy.name_any())
                    || guard.kept.iter().any(|it| it.uid == uid)
            }
            Plan::Hold(held) => {
                let config = held.config.as_ref();
                !held.injects || config.is_some_and(|it| it.present.policy(uid).is_some())
            }
            // Nothing may be injected in this namespace.
            Plan::Withdraw(_) => true,
        };
        here || inputs.elsewhere.contains_key(uid)
    };
    let refused = inputs.policies.iter().filter(|policy| {
        let spec = &policy.spec;
        (spec.mode, spec.failure_policy) == (Mode::Enforce, FailurePolicy::Closed)
            && !has_sidecars(policy)
    });
    Some(refused.cloned().collect())
}
