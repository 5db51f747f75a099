//! Invariants of the decision, for random policies, scores and chunkings.

use personaguard::guard::{Decision, Fault, Holdback, ModelFacts, Plan, Stop, Vectors};
use personaguard_crds::guard_config::{GuardConfig, ResolvedPolicy, ResolvedTrait, ResolvedVector, ServedModel};
use personaguard_crds::{API_VERSION, Action, Digest, Evidence, FailurePolicy, Layer, Mode, Score};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;

const VECTORS: usize = 3;

#[derive(Clone, Debug)]
struct Case {
    policies: Vec<ResolvedPolicy>,
    prompt: Vec<f32>,
    tokens: Vec<Vec<f32>>,
    /// Whether the client reads after each event; what it does not read then, it reads later.
    reads: Vec<bool>,
}

fn digest() -> Digest {
    Digest::of(b"weights")
}

fn plan(policies: &[ResolvedPolicy]) -> Arc<Plan> {
    let names: Vec<_> = (0..VECTORS).map(|index| format!("v{index}")).collect();
    let vector = |_| ResolvedVector {
        trait_name: "evil".to_owned(),
        layer: Layer(1),
        model_digest: digest(),
        sha256: Digest::of(b"unused here"),
        calm: None,
    };
    let config = GuardConfig {
        api_version: API_VERSION.to_owned(),
        kind: GuardConfig::KIND.to_owned(),
        model: ServedModel {
            name: "m".to_owned(),
            file: "m.gguf".to_owned(),
            sha256: digest(),
            context_length: 64,
            max_concurrent: 1,
            threads: None,
            device: personaguard_crds::Device::Cpu,
        },
        vectors: names.iter().map(|name| (name.clone(), vector(name))).collect(),
        policies: policies.to_vec(),
    };
    let vectors: Vectors = names.iter().map(|name| (name.clone(), Ok(Arc::from([1.0_f32, 0.0].as_slice())))).collect();
    Arc::new(Plan::new(&config, &vectors, &ModelFacts { digest: digest(), layers: 2, hidden: 2 }))
}

fn projection() -> impl Strategy<Value = f32> {
    prop_oneof![40 => -10.0..10.0_f32, 1 => Just(f32::NAN), 1 => Just(f32::INFINITY)]
}

fn rule() -> impl Strategy<Value = ResolvedTrait> {
    let action = prop_oneof![1 => Just(Action::Audit), 1 => Just(Action::Alert), 1 => Just(Action::Steer), 3 => Just(Action::Block)];
    let score = prop_oneof![3 => Just(Score::ResponseAvg), 1 => Just(Score::PromptLast)];
    (0..VECTORS, action, score, -12.0..8.0_f64, 0.0..12.0_f64, 0..3).prop_map(
        |(vector, action, score, min, width, sides)| ResolvedTrait {
            vector: format!("v{vector}"),
            score,
            min: (sides != 0).then_some(min),
            max: (sides != 1).then_some(min + width),
            action,
            steer: None,
        },
    )
}

fn policy(mode: impl Strategy<Value = Mode>) -> impl Strategy<Value = ResolvedPolicy> {
    let failure_policy = prop_oneof![Just(FailurePolicy::Open), Just(FailurePolicy::Closed)];
    (mode, failure_policy, 1..12_u32, prop::collection::vec(rule(), 1..4)).prop_map(
        |(mode, failure_policy, min_tokens, traits)| ResolvedPolicy {
            name: "p".to_owned(),
            uid: String::new(),
            generation: 1,
            digest: None,
            mode,
            selector: Default::default(),
            failure_policy,
            evidence: Evidence { min_tokens },
            traits,
        },
    )
}

fn case(mode: impl Strategy<Value = Mode>) -> impl Strategy<Value = Case> {
    let projections = || prop::collection::vec(projection(), VECTORS);
    let policies = prop::collection::vec(policy(mode), 0..4);
    (policies, projections(), prop::collection::vec(projections(), 0..30), prop::collection::vec(any::<bool>(), 32))
        .prop_map(|(policies, prompt, tokens, reads)| Case { policies, prompt, tokens, reads })
}

/// What reached the client, and how it ended.
struct Seen {
    tokens: Vec<usize>,
    stop: Option<Stop>,
    fault: Option<Fault>,
}

/// Sends a case through decision and hold-back, as the server does: each token waits for its own projections.
fn run(case: &Case) -> Seen {
    let plan = plan(&case.policies);
    // The plan measures what its rules use, in an order of its own.
    let order: Vec<usize> = plan.taps.iter().map(|tap| tap.vector[1..].parse().unwrap()).collect();
    let pick = |projections: &[f32]| order.iter().map(|index| projections[*index]).collect::<Vec<_>>();
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

/// Most tokens that may leave by the words of the invariant, worked out rule by rule and without the state machine; and
/// whether anything had to be stopped.
fn allowed(case: &Case) -> (usize, bool) {
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
            let past = |score: f64| rule.max.is_some_and(|max| score > max) || rule.min.is_some_and(|min| score < min);
            let closed = policy.failure_policy == FailurePolicy::Closed;
            if !case.prompt[vector].is_finite() {
                if closed {
                    cut(0);
                }
                continue;
            }
            if rule.action == Action::Block && rule.score == Score::PromptLast && past(f64::from(case.prompt[vector])) {
                cut(0);
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
                let decides = rule.action == Action::Block && rule.score == Score::ResponseAvg && scored >= min_tokens;
                if decides && !breached && past(sum / scored as f64) {
                    cut(if scored == min_tokens { 0 } else { index });
                    breached = true;
                }
            }
            let short = total > 0 && total < min_tokens && !breached;
            if rule.action == Action::Block && rule.score == Score::ResponseAvg && short && past(sum / total as f64) {
                cut(0);
            }
        }
    }
    (most, stopped)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn invariant_1_no_token_past_an_enforced_threshold_leaves(
        case in case(prop_oneof![1 => Just(Mode::Audit), 4 => Just(Mode::Enforce)])
    ) {
        let seen = run(&case);
        let (most, stopped) = allowed(&case);
        prop_assert!(seen.tokens.len() <= most, "{} left, {most} may", seen.tokens.len());
        prop_assert_eq!(&seen.tokens, &(0..seen.tokens.len()).collect::<Vec<_>>());
        prop_assert_eq!(seen.stop.is_some(), stopped);
        if !stopped {
            // Nothing is lost where nothing had to be stopped.
            prop_assert_eq!(seen.tokens.len(), case.tokens.len());
        }
    }

    #[test]
    fn invariant_2_audit_lets_every_token_go_at_once(case in case(Just(Mode::Audit))) {
        let plan = plan(&case.policies);
        prop_assert!(!plan.holds() && plan.steering.is_empty());
        let seen = run(&case);
        prop_assert_eq!(seen.tokens.len(), case.tokens.len());
        prop_assert_eq!(seen.stop, None);
    }

    #[test]
    fn invariant_9_what_cannot_be_scored_follows_the_failure_policy(
        policies in prop::collection::vec(policy(Just(Mode::Enforce)), 1..4),
        total in 1..30_usize,
        at in 0..30_usize,
        reads in prop::collection::vec(any::<bool>(), 32),
    ) {
        let mut case = Case { policies, prompt: vec![0.0; VECTORS], tokens: vec![vec![0.0; VECTORS]; total], reads };
        // Rules that only record, so that nothing else stops the answer.
        for rule in case.policies.iter_mut().flat_map(|policy| &mut policy.traits) {
            rule.action = Action::Alert;
        }
        let at = at % total;
        case.tokens[at] = vec![f32::NAN; VECTORS];
        let seen = run(&case);
        prop_assert_eq!(seen.fault, Some(Fault::NotFinite));
        if case.policies.iter().any(|policy| policy.failure_policy == FailurePolicy::Closed) {
            prop_assert_eq!(seen.stop, Some(Stop::Unscorable));
            prop_assert!(seen.tokens.len() <= at);
        } else {
            prop_assert_eq!(seen.stop, None);
            prop_assert_eq!(seen.tokens.len(), case.tokens.len());
        }
    }
}

fn block(min_tokens: u32, max: f64, failure_policy: FailurePolicy) -> ResolvedPolicy {
    ResolvedPolicy {
        name: "p".to_owned(),
        uid: "u".to_owned(),
        generation: 7,
        digest: None,
        mode: Mode::Enforce,
        selector: Default::default(),
        failure_policy,
        evidence: Evidence { min_tokens },
        traits: vec![ResolvedTrait {
            vector: "v0".to_owned(),
            score: Score::ResponseAvg,
            min: None,
            max: Some(max),
            action: Action::Block,
            steer: None,
        }],
    }
}

#[test]
fn tokens_wait_for_the_first_decision_and_then_for_their_own_score_alone() {
    let mut decision = Decision::new(plan(&[block(3, 1.0, FailurePolicy::Open)]));
    decision.prompt(&[0.0]);
    let mut released = Vec::new();
    for sampled in 1..=5 {
        decision.token(&[0.5]);
        released.push(decision.releasable(sampled));
    }
    assert_eq!(released, [0, 0, 3, 4, 5]);
    decision.token(&[100.0]);
    assert_eq!((decision.stop(), decision.releasable(6)), (Some(Stop::Blocked), 5));
    let breach = decision.take_breaches();
    assert_eq!((breach.len(), breach[0].threshold), (1, 1.0));
}

#[test]
fn a_score_on_the_threshold_is_within() {
    let mut decision = Decision::new(plan(&[block(1, 0.5, FailurePolicy::Open)]));
    decision.prompt(&[0.0]);
    decision.token(&[0.5]);
    assert_eq!(decision.stop(), None);
    decision.token(&[0.6]);
    assert_eq!(decision.stop(), Some(Stop::Blocked));
}

#[test]
fn invariant_7_a_vector_of_another_model_is_refused() {
    let mut config = GuardConfig {
        api_version: API_VERSION.to_owned(),
        kind: GuardConfig::KIND.to_owned(),
        model: ServedModel {
            name: "m".to_owned(),
            file: "m.gguf".to_owned(),
            sha256: digest(),
            context_length: 64,
            max_concurrent: 1,
            threads: None,
            device: personaguard_crds::Device::Cpu,
        },
        vectors: BTreeMap::new(),
        policies: vec![block(1, 1.0, FailurePolicy::Closed)],
    };
    let facts = ModelFacts { digest: digest(), layers: 4, hidden: 2 };
    let good: Vectors = [("v0".to_owned(), Ok(Arc::from([1.0_f32, 2.0].as_slice())))].into();
    let vector = |model_digest, layer| ResolvedVector {
        trait_name: "evil".to_owned(),
        layer: Layer(layer),
        model_digest,
        sha256: Digest::of(b""),
        calm: None,
    };
    let mut refusal = |vector: Option<ResolvedVector>, vectors: &Vectors| {
        config.vectors = vector.map(|vector| ("v0".to_owned(), vector)).into_iter().collect();
        let plan = Plan::new(&config, vectors, &facts);
        assert!(plan.rules.is_empty() && plan.taps.is_empty());
        // The policy fails closed: nothing is served that it cannot score.
        assert_eq!(Decision::new(Arc::new(Plan::new(&config, vectors, &facts))).stop(), Some(Stop::Unscorable));
        let acknowledgement = plan.acknowledgements().remove(0);
        assert_eq!((acknowledgement.generation, acknowledgement.refused.len()), (7, 1));
        acknowledgement.refused[0].failure.reason.clone()
    };
    assert_eq!(refusal(Some(vector(Digest::of(b"others"), 2)), &good), "ModelMismatch");
    assert_eq!(refusal(Some(vector(digest(), 5)), &good), "LayerMissing");
    assert_eq!(refusal(None, &good), "VectorNotFound");
    assert_eq!(refusal(Some(vector(digest(), 2)), &Vectors::new()), "ArtifactNotFound");
    let wide: Vectors = [("v0".to_owned(), Ok(Arc::from([1.0_f32; 3].as_slice())))].into();
    assert_eq!(refusal(Some(vector(digest(), 2)), &wide), "ModelMismatch");
    let zero: Vectors = [("v0".to_owned(), Ok(Arc::from([0.0_f32; 2].as_slice())))].into();
    assert_eq!(refusal(Some(vector(digest(), 2)), &zero), "ArtifactInvalid");
}
