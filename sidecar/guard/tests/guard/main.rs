//! Invariants of the decision, for random policies, scores and chunkings.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::needless_pass_by_value,
    reason = "tests"
)]

mod cases;

use cases::*;
use personaguard_guard::{
    Beyond, Decision, Demand, Demands, Fault, Holdback, ModelFacts, Plan, Sentences, Stop, Vectors,
};
use personaguard_terms::{
    Action, Capping, Coefficient, CoefficientRange, ConditionAt, Digest, EvidenceWindow,
    FailurePolicy, Layer, Mode, Positions, Redaction, Regeneration, RequestBounds, Sampling,
    Steering, SteeringCondition,
};
use personaguard_wire::{Failure, ResolvedPolicy, ResolvedTrait, ResolvedVector, UnresolvedPolicy};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;

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
        prop_assert!(!plan.holds() && !plan.redacts() && plan.steering.is_empty() && plan.caps.is_empty());
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
    let mut config = config(vec![block(1, 1.0, FailurePolicy::Closed)], BTreeMap::new());
    let facts = ModelFacts { digest: digest(), layers: 4, hidden: 2 };
    let good: Vectors = [("v0".to_owned(), Ok(Arc::from([1.0_f32, 2.0].as_slice())))].into();
    let mut refusal = |vector: Option<ResolvedVector>, vectors: &Vectors| {
        config.vectors = vector.map(|vector| ("v0".to_owned(), vector)).into_iter().collect();
        let plan = Plan::new(&config, vectors, &facts);
        assert!(plan.rules.is_empty() && plan.taps.is_empty());
        // The policy fails closed: nothing is served that it cannot score.
        assert_eq!(
            Decision::new(Arc::new(Plan::new(&config, vectors, &facts))).stop(),
            Some(Stop::Unscorable)
        );
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

/// A window of evidence holds back nothing until a token is past the threshold, and then from that
/// token on.
#[test]
fn with_a_window_tokens_wait_from_the_first_suspicious_one_on() {
    let mut policy = block(1, 1.0, FailurePolicy::Open);
    policy.evidence.window = Some(EvidenceWindow { past: 2, of_last: 3 });
    let mut decision = Decision::new(plan(&[policy]));
    decision.prompt(&[0.0]);
    let mut released = Vec::new();
    for (sampled, projection) in [0.0, 5.0, 0.0, 0.0, 5.0, 0.0].into_iter().enumerate() {
        decision.token(&[projection]);
        released.push(decision.releasable(sampled + 1));
    }
    assert_eq!(released, [1, 1, 1, 4, 4, 4]);
    decision.token(&[6.0]);
    assert_eq!((decision.stop(), decision.releasable(7)), (Some(Stop::Blocked), 4));
    assert_eq!(decision.take_breaches()[0].score, 6.0);
}

#[test]
fn at_the_end_what_waited_for_more_evidence_leaves() {
    let mut policy = block(1, 1.0, FailurePolicy::Open);
    policy.evidence.window = Some(EvidenceWindow { past: 2, of_last: 8 });
    let mut decision = Decision::new(plan(&[policy]));
    decision.prompt(&[0.0]);
    decision.token(&[5.0]);
    assert_eq!(decision.releasable(1), 0);
    decision.end();
    assert_eq!((decision.stop(), decision.releasable(1)), (None, 1));
}

fn redact(max: f64) -> ResolvedPolicy {
    let mut policy = block(1, max, FailurePolicy::Open);
    policy.traits[0].action = Action::Redact;
    policy.traits[0].redact = Some(Redaction { text: "[removed]".to_owned() });
    policy
}

#[test]
fn of_several_breaches_at_one_token_the_most_intrusive_action_wins() {
    let both = [redact(1.0), block(1, 1.0, FailurePolicy::Open)];
    for policies in [both.clone(), [both[1].clone(), both[0].clone()]] {
        let mut decision = Decision::new(plan(&policies));
        decision.prompt(&[0.0]);
        decision.token(&[2.0]);
        assert_eq!((decision.stop(), decision.redaction()), (Some(Stop::Blocked), None));
    }
    let mut decision = Decision::new(plan(&both[..1]));
    decision.prompt(&[0.0]);
    decision.token(&[2.0]);
    assert_eq!(
        (decision.stop(), decision.redaction().map(|text| &**text)),
        (Some(Stop::Redacted), Some("[removed]"))
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(5_000))]

    /// With `Redact`, text is cut where a sentence begins, and nothing of the breaching one leaves.
    #[test]
    fn invariant_1_of_a_breaching_sentence_nothing_leaves(
        pieces in prop::collection::vec(prop::sample::select(vec![" a", "b", ".", "!", " ", "\n", "", ". C", "。"]), 1..30),
        at in 0..30_usize,
        reads in prop::collection::vec(any::<bool>(), 32),
    ) {
        let at = at % pieces.len();
        let mut policy = redact(1.0);
        policy.evidence.window = Some(EvidenceWindow { past: 1, of_last: 1 });
        let mut decision = Decision::new(plan(&[policy]));
        decision.prompt(&[0.0]);
        let (mut held, mut sentences, mut left) = (Holdback::default(), Sentences::default(), Vec::new());
        for (index, piece) in pieces.iter().enumerate().take(at + 1) {
            decision.token(&[if index == at { 2.0 } else { 0.0 }]);
            held.push(index);
            sentences.push(piece);
            while let Some(piece) = (reads[index] || index == at)
                .then(|| held.release(sentences.floor(decision.releasable(held.taken())))).flatten()
            {
                left.push(piece);
            }
        }
        prop_assert_eq!(decision.stop(), Some(Stop::Redacted));
        prop_assert_eq!(&left, &(0..left.len()).collect::<Vec<_>>());
        prop_assert!(left.len() <= at);
        // What left are whole sentences, and the one after them is the breaching one.
        prop_assert_eq!(sentences.floor(left.len()), left.len());
        prop_assert_eq!(sentences.floor(at), left.len());
    }

    /// What a caller asks for never lets more leave than the policies do.
    #[test]
    fn invariant_1_a_request_never_loosens_a_policy(
        case in case(Just(Mode::Enforce)),
        vector in 0..VECTORS,
        block in any::<bool>(),
        max in prop::option::of(-12.0..20.0_f64),
        min in prop::option::of(-20.0..12.0_f64),
    ) {
        let mut case = case;
        let all = RequestBounds { block: true, threshold: true, coefficient: None };
        case.policies.iter_mut().flat_map(|policy| &mut policy.traits).for_each(|rule| rule.requests = Some(all));
        let demands = Demands::from([(format!("v{vector}"), Demand { block, max, min, coefficient: None })]);
        let plain = plan(&case.policies);
        if let Ok(stricter) = plain.with(&demands) {
            let (before, after) = (run_under(&case, plain), run_under(&case, Arc::new(stricter)));
            prop_assert!(after.tokens.len() <= before.tokens.len());
            prop_assert!(before.stop.is_none() || after.stop.is_some());
        }
    }

    /// A policy that does not look at a response neither stops nor counts it; the others act as if
    /// it was not there.
    #[test]
    fn sampling_leaves_out_whole_policies(case in case(Just(Mode::Enforce)), looks in prop::collection::vec(any::<bool>(), 4)) {
        let mut case = case;
        for policy in &mut case.policies {
            policy.failure_policy = FailurePolicy::Open;
            policy.traits.iter_mut().for_each(|rule| rule.action = Action::Alert);
        }
        let looks = &looks[..case.policies.len()];
        let plan = plan(&case.policies);
        let order: Vec<usize> = plan.taps.iter().map(|tap| tap.vector[1..].parse().unwrap()).collect();
        let pick = |projections: &[f32]| order.iter().map(|index| projections[*index]).collect::<Vec<_>>();
        let (mut some, mut all) = (Decision::sampled(Arc::clone(&plan), looks.into()), Decision::new(Arc::clone(&plan)));
        for decision in [&mut some, &mut all] {
            decision.prompt(&pick(&case.prompt));
            case.tokens.iter().for_each(|token| decision.token(&pick(token)));
            decision.end();
        }
        for (index, rule) in plan.rules.iter().enumerate() {
            if looks[rule.policy] {
                prop_assert_eq!((some.score(rule), some.breached(index)), (all.score(rule), all.breached(index)));
            } else {
                prop_assert_eq!((some.score(rule), some.breached(index)), (None, false));
            }
        }
    }
}

#[test]
fn callers_get_what_the_policy_lets_them_have_and_no_more() {
    let mut policy = block(1, 5.0, FailurePolicy::Open);
    policy.traits[0].action = Action::Alert;
    policy.traits[0].requests = Some(RequestBounds {
        block: true,
        threshold: true,
        coefficient: Some(CoefficientRange { min: coefficient(-2.0), max: coefficient(0.0) }),
    });
    let ask = |policy: &ResolvedPolicy, demand: Demand| {
        plan(std::slice::from_ref(policy)).with(&Demands::from([("v0".to_owned(), demand)]))
    };
    let block = Demand {
        block: true,
        max: Some(4.0),
        coefficient: Some(coefficient(-2.0)),
        ..Demand::default()
    };
    let stricter = ask(&policy, block).unwrap();
    let rule = &stricter.rules[0];
    assert_eq!(
        (rule.action, rule.declared, rule.bounds.max),
        (Action::Block, Action::Alert, Some(4.0))
    );
    assert_eq!(stricter.steering[0].coefficient, coefficient(-2.0));
    let refused = |policy: &ResolvedPolicy, demand| ask(policy, demand).unwrap_err();
    let looser = Demand { max: Some(5.1), ..Demand::default() };
    assert!(matches!(refused(&policy, looser), Beyond::Looser { what: "max", .. }));
    let beyond = Demand { coefficient: Some(coefficient(-2.1)), ..Demand::default() };
    assert!(matches!(refused(&policy, beyond), Beyond::Coefficient { min: -2.0, max: 0.0, .. }));
    // A policy that only records, or that says nothing of requests, gives nothing.
    policy.mode = Mode::Audit;
    assert!(matches!(refused(&policy, block), Beyond::NotAllowed { .. }));
    (policy.mode, policy.traits[0].requests) = (Mode::Enforce, None);
    assert!(matches!(refused(&policy, block), Beyond::NotAllowed { .. }));
    let unknown = Demands::from([("v1".to_owned(), Demand::default())]);
    assert!(matches!(plan(&[policy]).with(&unknown), Err(Beyond::Unknown(_))));
}

fn coefficient(value: f64) -> Coefficient {
    value.try_into().unwrap()
}

#[test]
fn two_policies_steer_and_cap_as_one() {
    let capped = |floor, ceiling, positions| {
        let cap = Some(Capping { floor, ceiling, positions, layers: Vec::new() });
        ResolvedPolicy {
            traits: vec![ResolvedTrait { action: Action::Cap, cap, ..bare() }],
            ..bare_policy()
        }
    };
    let plan = plan(&[
        capped(Some(-3.0), Some(4.0), Positions::Response),
        capped(Some(-5.0), Some(2.0), Positions::Response),
        capped(None, Some(9.0), Positions::Prompt),
    ]);
    let cap = &plan.caps[0];
    assert_eq!(
        (plan.caps.len(), cap.floor, cap.ceiling, cap.positions),
        (1, Some(-3.0), Some(2.0), Positions::All)
    );
}

#[test]
fn an_attempt_is_steered_further_with_each_number_and_never_past_the_limit() {
    let regenerate = Some(Regeneration { attempts: 3, coefficient: coefficient(-1.5) });
    let rule = ResolvedTrait { action: Action::Regenerate, max: Some(1.0), regenerate, ..bare() };
    let plan = plan(&[ResolvedPolicy { traits: vec![rule], ..bare_policy() }]);
    assert!(plan.holds() && plan.attempts() == 3);
    let steered = |attempt| plan.retried(|_| true, attempt).steering[0].coefficient.get();
    assert_eq!([1, 2, 3].map(steered), [-1.5, -3.0, -4.0]);
    assert!(plan.retried(|_| false, 1).steering.is_empty());
    // Nothing leaves before the end, whatever the score.
    let mut decision = Decision::new(plan);
    decision.prompt(&[0.0]);
    for projection in [0.0, 9.0, 0.0] {
        decision.token(&[projection]);
        assert_eq!(decision.releasable(3), 0);
    }
    decision.end();
    assert_eq!((decision.stop(), decision.releasable(3)), (None, 3));
}

#[test]
fn conditional_steering_is_read_by_the_vector_that_it_names() {
    let steer = |vector: Option<&str>| Steering {
        coefficient: coefficient(-1.0),
        positions: Positions::Response,
        layers: Vec::new(),
        coherence: Default::default(),
        when: Some(SteeringCondition {
            vector: vector.map(str::to_owned),
            at: ConditionAt::Token,
            above: 2.0,
            until: Some(1.0),
        }),
    };
    let planned = |vector| {
        let rule = ResolvedTrait { action: Action::Steer, steer: Some(steer(vector)), ..bare() };
        let plan = plan(&[ResolvedPolicy { traits: vec![rule], ..bare_policy() }]);
        let when = plan.steering[0].when.unwrap();
        (plan.taps[when.tap].vector.clone(), when.above, when.until)
    };
    assert_eq!(planned(None), ("v0".to_owned(), 2.0, 1.0));
    assert_eq!(planned(Some("v2")), ("v2".to_owned(), 2.0, 1.0));
}

#[test]
fn invariant_9_a_policy_that_was_never_resolved_follows_its_failure_policy() {
    let unresolved = |failure_policy| UnresolvedPolicy {
        name: "never".to_owned(),
        selector: Default::default(),
        failure_policy,
        failure: Failure { reason: "VectorNotFound".to_owned(), message: "Create it.".to_owned() },
    };
    let closed = plan_with(&[], vec![unresolved(FailurePolicy::Closed)]);
    assert_eq!(Decision::new(Arc::clone(&closed)).stop(), Some(Stop::Unscorable));
    assert!(closed.acknowledgements().is_empty(), "what is not enforced is not acknowledged");
    let open = Decision::new(plan_with(&[], vec![unresolved(FailurePolicy::Open)]));
    assert_eq!((open.stop(), open.fault()), (None, Some(Fault::PolicyUnresolved)));
}

#[test]
fn a_resting_plan_measures_nothing() {
    let mut policy = block(1, 1.0, FailurePolicy::Open);
    policy.sampling = Some(Sampling { every: Some(2), fraction: None });
    let resting = plan(&[policy]).resting();
    assert!(resting.taps.is_empty() && resting.rules.is_empty() && !resting.holds());
    let decision = Decision::sampled(Arc::new(resting), [false].into());
    assert_eq!((decision.stop(), decision.fault()), (None, None));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    /// Of random vectors and policies, only what fits the model is measured, and the rest is
    /// refused by name.
    #[test]
    fn invariant_7_only_vectors_of_the_served_model_are_measured(
        vectors in prop::collection::vec((any::<bool>(), 0..6_u32, prop::option::of(prop::collection::vec(-1.0..1.0_f32, 1..4))), VECTORS),
        traits in prop::collection::vec(prop::collection::vec(0..VECTORS + 1, 1..4), 1..4),
        closed in any::<bool>(),
    ) {
        let facts = ModelFacts { digest: digest(), layers: 4, hidden: 2 };
        let name = |index: usize| format!("v{index}");
        let resolved: BTreeMap<_, _> = vectors.iter().enumerate().map(|(index, (own, layer, _))| {
            let model_digest = if *own { digest() } else { Digest::of(b"others") };
            let vector = ResolvedVector {
                trait_name: "evil".to_owned(), layer: Layer(*layer), model_digest, sha256: Digest::of(b"unused"), calm: None,
            };
            (name(index), vector)
        }).collect();
        let values: Vectors = vectors.iter().enumerate()
            .filter_map(|(index, (.., values))| Some((name(index), Ok(Arc::from(values.clone()?)))))
            .collect();
        let fits = |index: usize| vectors.get(index).is_some_and(|(own, layer, values)| {
            let sound = values.as_ref().is_some_and(|values| values.len() == 2 && values.iter().any(|v| *v != 0.0));
            *own && *layer <= 4 && sound
        });
        let policies = traits.iter().map(|traits| ResolvedPolicy {
            failure_policy: if closed { FailurePolicy::Closed } else { FailurePolicy::Open },
            traits: traits.iter()
                .map(|index| ResolvedTrait { vector: name(*index), max: Some(0.0), action: Action::Block, ..bare() })
                .collect(),
            ..bare_policy()
        });
        let plan = Plan::new(&config(policies.collect(), resolved), &values, &facts);
        for tap in &plan.taps {
            prop_assert!(fits(tap.vector[1..].parse().unwrap()), "{} is measured", tap.vector);
        }
        for (policy, traits) in plan.policies.iter().zip(&traits) {
            let refused: Vec<_> = policy.refused.iter().map(|refused| refused.vector.clone()).collect();
            let expected: Vec<_> = traits.iter().filter(|index| !fits(**index)).map(|index| name(*index)).collect();
            prop_assert_eq!(refused, expected);
        }
        let unfit = traits.iter().flatten().any(|index| !fits(*index));
        prop_assert_eq!(Decision::new(Arc::new(plan)).stop(), (closed && unfit).then_some(Stop::Unscorable));
    }
}
