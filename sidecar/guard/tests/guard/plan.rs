//! Plans of several policies, and plans that steer further.

use crate::fixtures::{bare_rule, block, plan, policy_of};
use personaguard_guard::{Decision, Section, Stop, UnscoredReason};
use personaguard_terms::{
    Action, Capping, Coefficient, Coherence, ConditionAt, FailurePolicy, Positions, Regeneration,
    Sampling, Steering, SteeringCondition,
};
use personaguard_wire::{Baseline, ResolvedTrait};

fn coefficient(value: f64) -> Coefficient {
    value.try_into().unwrap()
}

#[test]
fn two_policies_cap_as_one() {
    let capped = |floor, ceiling, positions| {
        let capping = Capping { floor, ceiling, positions, layers: Vec::new() };
        policy_of(ResolvedTrait { action: Action::Cap(capping), ..bare_rule() })
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
    let regeneration = Regeneration { attempts: 3, coefficient: coefficient(-1.5) };
    let action = Action::Regenerate(regeneration);
    let rule = ResolvedTrait { action, max: Some(1.0), ..bare_rule() };
    let plan = plan(&[policy_of(rule)]);
    assert!(plan.holds_back() && plan.max_retries() == 3);
    let steered = |attempt| plan.for_retry(|_| true, attempt).steering[0].coefficient.get();
    assert_eq!([1, 2, 3].map(steered), [-1.5, -3.0, -4.0]);
    assert!(plan.for_retry(|_| false, 1).steering.is_empty());
    // Nothing leaves before the end, whatever the score.
    let mut decision = Decision::new(plan);
    decision.add_prompt(&[0.0]);
    for projection in [0.0, 9.0, 0.0] {
        decision.add_token(&[projection], Section::Unknown);
        assert_eq!(decision.releasable(3), 0);
    }
    decision.finish();
    assert_eq!((decision.stop(), decision.releasable(3)), (None, 3));
}

#[test]
fn conditional_steering_is_decided_by_the_vector_that_it_names() {
    let steer = |vector: Option<&str>| Steering {
        coefficient: coefficient(-1.0),
        positions: Positions::Response,
        layers: Vec::new(),
        coherence: Coherence::default(),
        when: Some(SteeringCondition {
            vector: vector.map(str::to_owned),
            at: ConditionAt::Token,
            above: 2.0,
            until: Some(1.0),
        }),
    };
    let planned = |vector| {
        let rule = ResolvedTrait { action: Action::Steer(steer(vector)), ..bare_rule() };
        let plan = plan(&[policy_of(rule)]);
        let gate = plan.steering[0].gate.unwrap();
        (plan.vectors[gate.vector].name.clone(), gate.above, gate.until)
    };
    assert_eq!(planned(None), ("v0".to_owned(), 2.0, 1.0));
    assert_eq!(planned(Some("v2")), ("v2".to_owned(), 2.0, 1.0));
}

#[test]
fn number_9_a_rule_with_a_number_that_is_none_is_refused() {
    type Change = fn(&mut ResolvedTrait, f64);
    let changes: [Change; 6] = [
        |rule, value| rule.max = Some(value),
        |rule, value| rule.min = Some(value),
        |rule, value| rule.baseline = Some(Baseline { mean: value, standard_deviation: 1.0 }),
        |rule, value| rule.baseline = Some(Baseline { mean: 0.0, standard_deviation: value }),
        |rule, value| {
            rule.action = Action::Cap(Capping { ceiling: Some(value), ..Capping::default() });
        },
        |rule, value| {
            rule.action = Action::Steer(Steering {
                coefficient: coefficient(1.0),
                positions: Positions::Response,
                layers: Vec::new(),
                when: Some(SteeringCondition {
                    vector: None,
                    at: ConditionAt::Token,
                    above: value,
                    until: None,
                }),
                coherence: Coherence::default(),
            });
        },
    ];
    for (index, change) in changes.iter().enumerate() {
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let mut policy = block(1, 5.0, FailurePolicy::Closed);
            change(&mut policy.traits[0], value);
            let plan = plan(&[policy]);
            assert!(plan.rules.is_empty(), "change {index}: {value} is in force");
            assert_eq!(plan.policies[0].unenforced(), Some(UnscoredReason::VectorRefused));
            // It fails closed.
            assert_eq!(Decision::new(plan).stop(), Some(Stop::Unscorable));
        }
    }
}

/// A number in a manifest, and none for the engine, which computes in single precision: it used to
/// keep the whole config from being served.
#[test]
fn number_9_a_bound_beyond_single_precision_is_refused_by_itself() {
    for value in [1e39, -1e300] {
        let (floor, ceiling) = if value < 0.0 { (Some(value), None) } else { (None, Some(value)) };
        let action = Action::Cap(Capping { floor, ceiling, ..Capping::default() });
        let capped = policy_of(ResolvedTrait { action, ..bare_rule() });
        let plan = plan(&[capped, block(1, 5.0, FailurePolicy::Open)]);
        assert_eq!((plan.rules.len(), plan.policies[0].refused.len()), (1, 1));
        assert_eq!(plan.policies[1].refused, []);
    }
}

#[test]
fn number_9_a_sampling_that_is_no_number_leaves_nothing_out() {
    let mut policy = policy_of(bare_rule());
    policy.sampling = Some(Sampling { fraction: Some(f64::NAN), every: None });
    assert_eq!(plan(&[policy]).policies[0].sampling, None);
}

/// Whatever the rule, the token and the number: it is never taken for one within the threshold.
#[test]
fn number_9_a_projection_that_is_no_number_is_never_within() {
    for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        for failure_policy in [FailurePolicy::Open, FailurePolicy::Closed] {
            for at in 0..4 {
                let mut decision = Decision::new(plan(&[block(2, 5.0, failure_policy)]));
                decision.add_prompt(&[if at == 0 { value } else { 0.0 }]);
                for token in 1..4 {
                    decision.add_token(&[if at == token { value } else { 0.0 }], Section::Unknown);
                }
                decision.finish();
                assert_eq!(decision.unscored(), Some(UnscoredReason::NotFinite));
                let stops = failure_policy == FailurePolicy::Closed;
                assert_eq!(decision.stop().is_some(), stops, "{value} at {at}");
            }
        }
    }
}
