//! Policies and plans to start from.

use personaguard_guard::{ModelFacts, Plan, Vectors};
use personaguard_terms::{
    API_VERSION, Action, Device, Digest, Evidence, FailurePolicy, Layer, Mode, Redaction, Score,
};
use personaguard_wire::{
    GuardConfig, ResolvedPolicy, ResolvedTrait, ResolvedVector, ServedModel, UnresolvedPolicy,
};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Vectors of a plan: `v0`, `v1` and so on.
pub(crate) const VECTORS: usize = 3;

/// SHA-256 of the served weights.
pub(crate) fn digest() -> Digest {
    Digest::of(b"weights")
}

pub(crate) fn vector_name(index: usize) -> String {
    format!("v{index}")
}

/// The index of a vector, by its name.
pub(crate) fn vector_index(name: &str) -> usize {
    name[1..].parse().unwrap()
}

pub(crate) fn facts() -> ModelFacts {
    ModelFacts { digest: digest(), layers: 4, hidden: 2 }
}

pub(crate) fn config(
    policies: Vec<ResolvedPolicy>,
    vectors: BTreeMap<String, ResolvedVector>,
) -> GuardConfig {
    GuardConfig {
        api_version: API_VERSION.to_owned(),
        kind: GuardConfig::KIND.to_owned(),
        model: ServedModel {
            name: "m".to_owned(),
            aliases: Vec::new(),
            file: "m.gguf".to_owned(),
            sha256: digest(),
            context_length: 64,
            max_concurrent: 1,
            max_request_bytes: None,
            scoring_deadline_seconds: None,
            threads: None,
            device: Device::Cpu,
        },
        vectors,
        policies,
        unresolved: Vec::new(),
    }
}

/// A vector of some model.
pub(crate) fn vector(model_digest: Digest, layer: u32) -> ResolvedVector {
    ResolvedVector {
        trait_name: "evil".to_owned(),
        layer: Layer(layer),
        model_digest,
        made_on: None,
        sha256: Digest::of(b"unused here"),
        baseline: None,
    }
}

pub(crate) fn plan(policies: &[ResolvedPolicy]) -> Arc<Plan> {
    plan_with(policies, Vec::new())
}

pub(crate) fn plan_with(
    policies: &[ResolvedPolicy],
    unresolved: Vec<UnresolvedPolicy>,
) -> Arc<Plan> {
    let names: Vec<_> = (0..VECTORS).map(vector_name).collect();
    let resolved = names.iter().map(|name| (name.clone(), vector(digest(), 1))).collect();
    let config = GuardConfig { unresolved, ..config(policies.to_vec(), resolved) };
    let vectors: Vectors = names.into_iter().map(|name| (name, Ok([1.0, 0.0].into()))).collect();
    Arc::new(Plan::new(&config, &vectors, &facts()))
}

/// A rule on `v0` that only records.
pub(crate) fn bare_rule() -> ResolvedTrait {
    ResolvedTrait {
        vector: vector_name(0),
        score: Score::ResponseAvg,
        min: None,
        max: None,
        action: Action::Audit,
        requests: None,
        calibrates: None,
        baseline: None,
    }
}

/// A policy without traits.
pub(crate) fn bare_policy() -> ResolvedPolicy {
    ResolvedPolicy {
        name: "p".to_owned(),
        uid: "u".to_owned(),
        generation: 7,
        digest: None,
        mode: Mode::Enforce,
        selector: Default::default(),
        failure_policy: FailurePolicy::Open,
        unscorable_requests: None,
        evidence: Evidence { min_tokens: 1, window: None },
        sampling: None,
        record_conversations: false,
        traits: Vec::new(),
    }
}

/// A policy with one rule.
pub(crate) fn policy_of(rule: ResolvedTrait) -> ResolvedPolicy {
    ResolvedPolicy { traits: vec![rule], ..bare_policy() }
}

/// A policy that blocks above a threshold.
pub(crate) fn block(min_tokens: u32, max: f64, failure_policy: FailurePolicy) -> ResolvedPolicy {
    let rule = ResolvedTrait { max: Some(max), action: Action::Block, ..bare_rule() };
    let evidence = Evidence { min_tokens, window: None };
    ResolvedPolicy { failure_policy, evidence, ..policy_of(rule) }
}

/// A policy that redacts above a threshold.
pub(crate) fn redact(max: f64) -> ResolvedPolicy {
    let mut policy = block(1, max, FailurePolicy::Open);
    policy.traits[0].action = redacts();
    policy
}

/// The action of such a policy.
pub(crate) fn redacts() -> Action {
    Action::Redact(Redaction { text: "[removed]".to_owned() })
}
