//! While something of a scope is missing or cannot be read, what is in force stays: after a
//! restart, that is what is in the cluster. Only policies that are being deleted go. Pure.

use super::{Held, Plan};
use crate::policy::dereference::Inputs;
use crate::policy::stored::{Stored, StoredConfig};
use kube::ResourceExt;
use personaguard_api::PersonaPolicy;
use personaguard_resolve::{self as resolve, Rejection, VectorInput};
use std::collections::BTreeMap;

/// The plan, and what is said of each policy. One that is in force as it is written is accepted.
pub(super) fn hold(
    inputs: &Inputs,
    stored: &Stored,
    why: &Rejection,
) -> (Plan, BTreeMap<String, Rejection>) {
    let vectors = inputs.vector_inputs();
    let mut rejected = BTreeMap::new();
    for policy in &inputs.policies {
        if !in_force_as_written(inputs, &vectors, stored.config(), policy) {
            rejected.insert(policy.name_any(), rejection(inputs, stored.config(), policy, why));
        }
    }
    (in_force(inputs, stored, true), rejected)
}

/// The plan that keeps what is in force, but for policies that are being deleted.
pub(super) fn in_force(inputs: &Inputs, stored: &Stored, injects: bool) -> Plan {
    let deleted = inputs.deleted_uids();
    let config = stored.config().map(|stored| StoredConfig {
        present: stored.present.clone().without(&deleted),
        former: stored
            .former
            .iter()
            .map(|(identity, old)| (identity.clone(), old.clone().without(&deleted)))
            .collect(),
    });
    let before = stored.config().map(|stored| (&stored.present, &stored.former));
    let changed = config.as_ref().map(|config| (&config.present, &config.former)) != before;
    let injection = inputs.injection.clone();
    Plan::Hold(Box::new(Held { config, changed, injection, injects }))
}

fn in_force_as_written(
    inputs: &Inputs,
    vectors: &BTreeMap<String, VectorInput>,
    stored: Option<&StoredConfig>,
    policy: &PersonaPolicy,
) -> bool {
    let (Some(stored), Some(model)) = (stored, &inputs.model) else { return false };
    let uid = policy.metadata.uid.as_deref().unwrap_or_default();
    let resolved = resolve::resolve_policy(policy, model, vectors);
    resolved.is_ok_and(|resolved| stored.present.policy(uid) == Some(&resolved))
}

/// With what stays in force.
pub(super) fn rejection(
    inputs: &Inputs,
    stored: Option<&StoredConfig>,
    policy: &PersonaPolicy,
    why: &Rejection,
) -> Rejection {
    let uid = policy.metadata.uid.as_deref().unwrap_or_default();
    let mut rejection = why.clone();
    if let Some(old) = stored.and_then(|stored| stored.present.policy(uid)) {
        let note = format!(" Generation {} stays in force meanwhile.", old.generation);
        rejection.message.push_str(&note);
    } else if let Some(old) = inputs.elsewhere.get(uid) {
        let note = format!(
            " Generation {} stays in force meanwhile, with model `{}`.",
            old.policy.generation, old.model
        );
        rejection.message.push_str(&note);
    }
    rejection
}
