//! Policies and plans to start from.

use personaguard_guard::{
    Action, Bounds, FailurePolicy, Mode, ModelFacts, Plan, Policy, PolicySet, Score, TraitRule,
    UnresolvedPolicy, Vector,
};
use std::sync::Arc;

/// Vectors of a plan: `v0`, `v1` and so on.
pub(crate) const VECTORS: usize = 3;

/// SHA-256 of the served weights.
pub(crate) fn digest() -> String {
    "a".repeat(64)
}

pub(crate) fn vector_name(index: usize) -> String {
    format!("v{index}")
}

/// The index of a vector, by its name.
pub(crate) fn vector_index(name: &str) -> usize {
    name[1..].parse().unwrap()
}

/// A vector that fits the model.
pub(crate) fn vector() -> Vector {
    Vector {
        trait_name: "evil".to_owned(),
        layer: 1,
        model_digest: digest(),
        sha256: "b".repeat(64),
        baseline: None,
        values: Ok([1.0, 0.0].into()),
    }
}

pub(crate) fn facts() -> ModelFacts {
    ModelFacts { digest: digest(), layers: 4, hidden: 2 }
}

pub(crate) fn plan(policies: &[Policy]) -> Arc<Plan> {
    plan_with(policies, Vec::new())
}

pub(crate) fn plan_with(policies: &[Policy], unresolved: Vec<UnresolvedPolicy>) -> Arc<Plan> {
    let vectors = (0..VECTORS).map(|index| (vector_name(index), vector())).collect();
    let set = PolicySet { policies: policies.to_vec(), unresolved, vectors };
    Arc::new(Plan::new(&set, &facts()))
}

/// A rule on `v0` that only records.
pub(crate) fn bare_rule() -> TraitRule {
    TraitRule {
        vector: vector_name(0),
        score: Score::ResponseAvg,
        bounds: Bounds::default(),
        action: Action::Audit,
        steer: None,
        cap: None,
        regenerate: None,
        redaction: None,
        requests: None,
        calibrates: None,
        baseline: None,
    }
}

/// A policy without traits.
pub(crate) fn bare_policy() -> Policy {
    Policy {
        name: "p".to_owned(),
        generation: 7,
        digest: None,
        mode: Mode::Enforce,
        failure_policy: FailurePolicy::Open,
        min_tokens: 1,
        window: None,
        sampling: None,
        record_conversations: false,
        traits: Vec::new(),
    }
}

/// A policy with one rule.
pub(crate) fn policy_of(rule: TraitRule) -> Policy {
    Policy { traits: vec![rule], ..bare_policy() }
}

/// A policy that blocks above a threshold.
pub(crate) fn block(min_tokens: u32, max: f64, failure_policy: FailurePolicy) -> Policy {
    let bounds = Bounds { min: None, max: Some(max) };
    let rule = TraitRule { bounds, action: Action::Block, ..bare_rule() };
    Policy { failure_policy, min_tokens, ..policy_of(rule) }
}

/// A policy that redacts above a threshold.
pub(crate) fn redact(max: f64) -> Policy {
    let mut policy = block(1, max, FailurePolicy::Open);
    policy.traits[0].action = Action::Redact;
    policy.traits[0].redaction = Some("[removed]".to_owned());
    policy
}
