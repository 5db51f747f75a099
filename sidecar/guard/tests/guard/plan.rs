//! Plans of several policies, and plans that steer further.

use crate::fixtures::{bare_rule, plan, policy_of};
use personaguard_guard::Decision;
use personaguard_terms::{
    Action, Capping, Coefficient, Coherence, ConditionAt, Positions, Regeneration, Steering,
    SteeringCondition,
};
use personaguard_wire::ResolvedTrait;

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
        decision.add_token(&[projection]);
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
