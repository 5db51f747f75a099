//! From the wire's types to the guard's.

use crate::config::VectorValues;
use personaguard_crds as api;
use personaguard_crds::guard_config::{
    Calm, GuardConfig, ResolvedPolicy, ResolvedTrait, ResolvedVector, UnresolvedPolicy,
};
use personaguard_crds::layers::Part;
use personaguard_guard::{
    Action, Baseline, Bounds, CapAt, Capping, Coherence, ConditionAt, EvidenceWindow,
    FailurePolicy, MAX_COEFFICIENT, Mode, Policy, Positions, Refusal, Regeneration, RequestBounds,
    Sampling, Score, Steering, SteeringCondition, TraitRule, Unresolved, Vector,
};

const _: () = assert!(
    MAX_COEFFICIENT == api::Coefficient::LIMIT,
    "the guard's limit on coefficients is the API's"
);

/// The failure policy of all policies together. One in mode `Audit` changes nothing.
pub(in crate::runtime) fn failure_policy(config: &GuardConfig) -> FailurePolicy {
    let enforced = config.policies.iter().filter(|policy| policy.mode == api::Mode::Enforce);
    let enforced = enforced.map(|policy| policy.failure_policy);
    let unresolved = config.unresolved.iter().map(|policy| policy.failure_policy);
    failure_policy_of(enforced.chain(unresolved).max().unwrap_or_default())
}

pub(super) fn policy(policy: &ResolvedPolicy) -> Policy {
    let window = policy.evidence.window;
    Policy {
        name: policy.name.clone(),
        generation: policy.generation,
        digest: policy.digest.as_ref().map(ToString::to_string),
        mode: match policy.mode {
            api::Mode::Audit => Mode::Audit,
            api::Mode::Enforce => Mode::Enforce,
        },
        failure_policy: failure_policy_of(policy.failure_policy),
        min_tokens: policy.evidence.min_tokens,
        window: window.map(|window| EvidenceWindow { past: window.past, of_last: window.of_last }),
        sampling: policy
            .sampling
            .map(|sampling| Sampling { fraction: sampling.fraction, every: sampling.every }),
        record_conversations: policy.record_conversations,
        traits: policy.traits.iter().map(trait_rule).collect(),
    }
}

pub(super) fn unresolved(policy: &UnresolvedPolicy) -> personaguard_guard::UnresolvedPolicy {
    personaguard_guard::UnresolvedPolicy {
        name: policy.name.clone(),
        failure_policy: failure_policy_of(policy.failure_policy),
        why: Unresolved {
            reason: policy.failure.reason.clone(),
            message: policy.failure.message.clone(),
        },
    }
}

pub(super) fn vector(name: &str, vector: &ResolvedVector, values: &VectorValues) -> Vector {
    let values = values.get(name).cloned();
    Vector {
        trait_name: vector.trait_name.clone(),
        layer: vector.layer.0,
        model_digest: vector.model_digest.to_string(),
        sha256: vector.sha256.to_string(),
        baseline: vector.calm.map(baseline),
        values: values.unwrap_or_else(|| Err(Refusal::ValuesMissing { vector: name.to_owned() })),
    }
}

fn trait_rule(rule: &ResolvedTrait) -> TraitRule {
    TraitRule {
        vector: rule.vector.clone(),
        score: match rule.score {
            api::Score::ResponseAvg => Score::ResponseAvg,
            api::Score::PromptLast => Score::PromptLast,
        },
        bounds: Bounds { min: rule.min, max: rule.max },
        action: action(rule.action),
        steer: rule.steer.as_ref().map(|steer| steering(steer, &rule.vector)),
        cap: rule.cap.as_ref().map(|cap| capping(cap, &rule.vector)),
        regenerate: rule.regenerate.map(|regenerate| Regeneration {
            attempts: regenerate.attempts,
            coefficient: regenerate.coefficient.get(),
        }),
        redaction: rule.redact.as_ref().map(|redact| redact.text.clone()),
        requests: rule.requests.map(|requests| RequestBounds {
            block: requests.block,
            threshold: requests.threshold,
            coefficient: requests.coefficient.map(|range| range.min.get()..=range.max.get()),
        }),
        calibrates: rule.calibrates.as_ref().map(ToString::to_string),
        baseline: rule.calm.map(baseline),
    }
}

fn action(action: api::Action) -> Action {
    match action {
        api::Action::Audit => Action::Audit,
        api::Action::Alert => Action::Alert,
        api::Action::Steer => Action::Steer,
        api::Action::Cap => Action::Cap,
        api::Action::Regenerate => Action::Regenerate,
        api::Action::Redact => Action::Redact,
        api::Action::Block => Action::Block,
    }
}

fn steering(steering: &api::Steering, vector: &str) -> Steering {
    let when = steering.when.as_ref();
    Steering {
        coefficient: steering.coefficient.get(),
        positions: positions(steering.positions),
        at: steering.layers.iter().map(|layer| Part::Increment(*layer).name(vector)).collect(),
        when: when.map(|when| SteeringCondition {
            vector: when.vector.clone(),
            at: match when.at {
                api::ConditionAt::PromptLast => ConditionAt::PromptLast,
                api::ConditionAt::Token => ConditionAt::Token,
            },
            above: when.above,
            until: when.until,
        }),
        coherence: Coherence {
            min_log_likelihood: steering.coherence.min_log_likelihood,
            max_repetition: steering.coherence.max_repetition,
            back_off: steering.coherence.back_off,
        },
    }
}

fn capping(capping: &api::Capping, vector: &str) -> Capping {
    let further = capping.layers.iter().map(|bounds| CapAt {
        vector: Part::At(bounds.layer).name(vector),
        floor: bounds.floor,
        ceiling: bounds.ceiling,
    });
    Capping {
        floor: capping.floor,
        ceiling: capping.ceiling,
        positions: positions(capping.positions),
        at: further.collect(),
    }
}

fn positions(positions: api::Positions) -> Positions {
    match positions {
        api::Positions::Response => Positions::Response,
        api::Positions::Prompt => Positions::Prompt,
        api::Positions::All => Positions::All,
    }
}

fn failure_policy_of(policy: api::FailurePolicy) -> FailurePolicy {
    match policy {
        api::FailurePolicy::Open => FailurePolicy::Open,
        api::FailurePolicy::Closed => FailurePolicy::Closed,
    }
}

fn baseline(calm: Calm) -> Baseline {
    Baseline { mean: calm.mean, standard_deviation: calm.standard_deviation }
}
