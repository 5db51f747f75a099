//! From a config to the guard's policy set, and back to what is acknowledged.

mod convert;

pub(super) use convert::failure_policy;

use super::message::failure;
use super::reason;
use crate::config::Config;
use convert::{policy, unresolved, vector};
use personaguard_crds::wire::{PolicyAcknowledgement, RefusedTrait};
use personaguard_guard::{Plan, PolicySet};

/// The policies of a config, with the values of their vectors.
pub(super) fn policy_set(config: &Config) -> PolicySet {
    let vectors = config.guard.vectors.iter();
    PolicySet {
        policies: config.guard.policies.iter().map(policy).collect(),
        unresolved: config.guard.unresolved.iter().map(unresolved).collect(),
        vectors: vectors
            .map(|(name, resolved)| (name.clone(), vector(name, resolved, &config.vectors)))
            .collect(),
    }
}

/// What this pod acknowledges to enforce, under a plan of this config. A policy of which nothing
/// can be enforced is not acknowledged.
pub(super) fn acknowledgements(config: &Config, plan: &Plan) -> Vec<PolicyAcknowledgement> {
    let refused = |refused: &personaguard_guard::RefusedTrait| RefusedTrait {
        vector: refused.vector.clone(),
        failure: failure(reason::of_refusal(&refused.refusal), &refused.refusal),
    };
    // The plan has the config's policies first, in their order.
    let policies = config.guard.policies.iter().zip(&plan.policies);
    policies
        .map(|(policy, planned)| PolicyAcknowledgement {
            name: policy.name.clone(),
            uid: policy.uid.clone(),
            generation: policy.generation,
            digest: policy.digest.clone(),
            refused: planned.refused.iter().map(refused).collect(),
        })
        .collect()
}

#[cfg(test)]
mod tests;
