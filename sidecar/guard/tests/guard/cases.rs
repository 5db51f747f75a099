//! Random policies and answers, how the server sends them through the decision, and what may leave
//! by the words of the invariant.

use personaguard_guard::{Decision, Fault, Holdback, ModelFacts, Plan, Stop, Vectors};
use personaguard_terms::{
    API_VERSION, Action, Digest, Evidence, EvidenceWindow, FailurePolicy, Layer, Mode, Redaction,
    Score,
};
use personaguard_wire::{
    GuardConfig, ResolvedPolicy, ResolvedTrait, ResolvedVector, ServedModel, UnresolvedPolicy,
};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;

pub(crate) const VECTORS: usize = 3;

#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) policies: Vec<ResolvedPolicy>,
    pub(crate) prompt: Vec<f32>,
    pub(crate) tokens: Vec<Vec<f32>>,
    /// Whether the client reads after each event; what it does not read then, it reads later.
    pub(crate) reads: Vec<bool>,
}

pub(crate) fn digest() -> Digest {
    Digest::of(b"weights")
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
            file: "m.gguf".to_owned(),
            sha256: digest(),
            context_length: 64,
            max_concurrent: 1,
            threads: None,
            device: personaguard_terms::Device::Cpu,
        },
        vectors,
        policies,
        unresolved: Vec::new(),
    }
}

pub(crate) fn vector(model_digest: Digest, layer: u32) -> ResolvedVector {
    ResolvedVector {
        trait_name: "evil".to_owned(),
        layer: Layer(layer),
        model_digest,
        sha256: Digest::of(b"unused here"),
        calm: None,
    }
}

pub(crate) fn plan(policies: &[ResolvedPolicy]) -> Arc<Plan> {
    plan_with(policies, Vec::new())
}

pub(crate) fn plan_with(
    policies: &[ResolvedPolicy],
    unresolved: Vec<UnresolvedPolicy>,
) -> Arc<Plan> {
    let names: Vec<_> = (0..VECTORS).map(|index| format!("v{index}")).collect();
    let resolved = names.iter().map(|name| (name.clone(), vector(digest(), 1))).collect();
    let config = GuardConfig { unresolved, ..config(policies.to_vec(), resolved) };
    let vectors: Vectors =
        names.iter().map(|name| (name.clone(), Ok(Arc::from([1.0_f32, 0.0].as_slice())))).collect();
    Arc::new(Plan::new(&config, &vectors, &ModelFacts { digest: digest(), layers: 2, hidden: 2 }))
}

pub(crate) fn projection() -> impl Strategy<Value = f32> {
    prop_oneof![40 => -10.0..10.0_f32, 1 => Just(f32::NAN), 1 => Just(f32::INFINITY)]
}

pub(crate) fn bare() -> ResolvedTrait {
    ResolvedTrait {
        vector: "v0".to_owned(),
        score: Score::ResponseAvg,
        min: None,
        max: None,
        action: Action::Audit,
        steer: None,
        cap: None,
        regenerate: None,
        redact: None,
        requests: None,
        calibrates: None,
        calm: None,
    }
}

pub(crate) fn bare_policy() -> ResolvedPolicy {
    ResolvedPolicy {
        name: "p".to_owned(),
        uid: "u".to_owned(),
        generation: 7,
        digest: None,
        mode: Mode::Enforce,
        selector: Default::default(),
        failure_policy: FailurePolicy::Open,
        evidence: Evidence { min_tokens: 1, window: None },
        sampling: None,
        record_conversations: false,
        traits: Vec::new(),
    }
}

pub(crate) fn window() -> impl Strategy<Value = Option<EvidenceWindow>> {
    let window = (1..7_u32).prop_flat_map(|of_last| {
        (1..=of_last).prop_map(move |past| EvidenceWindow { past, of_last })
    });
    prop::option::of(window)
}

pub(crate) fn rule() -> impl Strategy<Value = ResolvedTrait> {
    let action = prop_oneof![
        1 => prop::sample::select(vec![Action::Audit, Action::Alert, Action::Steer, Action::Cap]),
        2 => Just(Action::Redact),
        2 => Just(Action::Block),
    ];
    let score = prop_oneof![3 => Just(Score::ResponseAvg), 1 => Just(Score::PromptLast)];
    (0..VECTORS, action, score, -12.0..8.0_f64, 0.0..12.0_f64, 0..3).prop_map(
        |(vector, action, score, min, width, sides)| ResolvedTrait {
            vector: format!("v{vector}"),
            score,
            min: (sides != 0).then_some(min),
            max: (sides != 1).then_some(min + width),
            redact: (action == Action::Redact).then(|| Redaction { text: "[removed]".to_owned() }),
            action,
            ..bare()
        },
    )
}

pub(crate) fn policy(mode: impl Strategy<Value = Mode>) -> impl Strategy<Value = ResolvedPolicy> {
    let failure_policy = prop_oneof![Just(FailurePolicy::Open), Just(FailurePolicy::Closed)];
    (mode, failure_policy, 1..12_u32, window(), prop::collection::vec(rule(), 1..4)).prop_map(
        |(mode, failure_policy, min_tokens, window, traits)| ResolvedPolicy {
            mode,
            failure_policy,
            evidence: Evidence { min_tokens, window },
            traits,
            ..bare_policy()
        },
    )
}

pub(crate) fn case(mode: impl Strategy<Value = Mode>) -> impl Strategy<Value = Case> {
    let projections = || prop::collection::vec(projection(), VECTORS);
    let policies = prop::collection::vec(policy(mode), 0..4);
    (
        policies,
        projections(),
        prop::collection::vec(projections(), 0..30),
        prop::collection::vec(any::<bool>(), 32),
    )
        .prop_map(|(policies, prompt, tokens, reads)| Case { policies, prompt, tokens, reads })
}

/// What reached the client, and how it ended.
pub(crate) struct Seen {
    pub(crate) tokens: Vec<usize>,
    pub(crate) stop: Option<Stop>,
    pub(crate) fault: Option<Fault>,
}

/// Sends a case through decision and hold-back, as the server does: each token waits for its own
/// projections.
pub(crate) fn run(case: &Case) -> Seen {
    run_under(case, plan(&case.policies))
}

pub(crate) fn run_under(case: &Case, plan: Arc<Plan>) -> Seen {
    // The plan measures what its rules use, in an order of its own.
    let order: Vec<usize> = plan.taps.iter().map(|tap| tap.vector[1..].parse().unwrap()).collect();
    let pick =
        |projections: &[f32]| order.iter().map(|index| projections[*index]).collect::<Vec<_>>();
    let mut decision = Decision::new(plan);
    let mut held = Holdback::default();
    let mut seen = Vec::new();
    let drain = |decision: &Decision, held: &mut Holdback<usize>, seen: &mut Vec<usize>| {
        while let Some(token) = held.release(decision.releasable(held.taken())) {
            seen.push(token);
        }
    };
    decision.prompt(&pick(&case.prompt));
    for (index, token) in case.tokens.iter().enumerate() {
        if decision.stop().is_some() {
            break;
        }
        decision.token(&pick(token));
        held.push(index);
        if case.reads[index] {
            drain(&decision, &mut held, &mut seen);
        }
    }
    if decision.stop().is_none() {
        decision.end();
    }
    drain(&decision, &mut held, &mut seen);
    Seen { tokens: seen, stop: decision.stop(), fault: decision.fault() }
}

/// Most tokens that may leave by the words of the invariant, worked out rule by rule and without
/// the state machine; and whether anything had to be stopped.
pub(crate) fn allowed(case: &Case) -> (usize, bool) {
    let total = case.tokens.len();
    let (mut most, mut stopped) = (total, false);
    let mut cut = |at: usize| {
        most = most.min(at);
        stopped = true;
    };
    for policy in case.policies.iter().filter(|policy| policy.mode == Mode::Enforce) {
        let min_tokens = policy.evidence.min_tokens as usize;
        for rule in &policy.traits {
            let vector: usize = rule.vector[1..].parse().unwrap();
            let past = |score: f64| {
                rule.max.is_some_and(|max| score > max) || rule.min.is_some_and(|min| score < min)
            };
            let closed = policy.failure_policy == FailurePolicy::Closed;
            if !case.prompt[vector].is_finite() {
                if closed {
                    cut(0);
                }
                continue;
            }
            let cuts = matches!(rule.action, Action::Block | Action::Redact);
            if cuts && rule.score == Score::PromptLast && past(f64::from(case.prompt[vector])) {
                cut(0);
                continue;
            }
            let cuts = cuts && rule.score == Score::ResponseAvg;
            let finite = case.tokens.iter().take_while(|token| token[vector].is_finite()).count();
            if let Some(window) = policy.evidence.window {
                if finite < total && closed {
                    cut(finite);
                }
                let past: Vec<bool> = case.tokens[..finite]
                    .iter()
                    .map(|token| past(f64::from(token[vector])))
                    .collect();
                // The window that the breaching token ends, and the first of its tokens that is
                // past the threshold.
                let (past_needed, size) = (window.past as usize, window.of_last as usize);
                let windows = (1..=finite).map(|end| (end.saturating_sub(size), end));
                let breach = windows
                    .filter(|(begin, end)| {
                        past[*begin..*end].iter().filter(|past| **past).count() >= past_needed
                    })
                    .map(|(begin, end)| {
                        begin + past[begin..end].iter().position(|past| *past).unwrap_or(0)
                    })
                    .next();
                if let (true, Some(at)) = (cuts, breach) {
                    cut(at);
                }
                continue;
            }
            let mut sum = 0.0;
            let mut breached = false;
            for (index, token) in case.tokens.iter().enumerate() {
                if !token[vector].is_finite() {
                    if closed {
                        cut(index);
                    }
                    breached = true; // No decision after this one.
                    break;
                }
                sum += f64::from(token[vector]);
                let scored = index + 1;
                let decides = cuts && scored >= min_tokens;
                if decides && !breached && past(sum / scored as f64) {
                    cut(if scored == min_tokens { 0 } else { index });
                    breached = true;
                }
            }
            let short = total > 0 && total < min_tokens && !breached;
            if cuts && short && past(sum / total as f64) {
                cut(0);
            }
        }
    }
    (most, stopped)
}

pub(crate) fn block(min_tokens: u32, max: f64, failure_policy: FailurePolicy) -> ResolvedPolicy {
    ResolvedPolicy {
        failure_policy,
        evidence: Evidence { min_tokens, window: None },
        traits: vec![ResolvedTrait { max: Some(max), action: Action::Block, ..bare() }],
        ..bare_policy()
    }
}
