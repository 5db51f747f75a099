use super::*;
use crate::fixtures::{model, policy, refusal, rule, sigma, steer, vectors};
use crate::policy::resolve_policy;
use personaguard_api::{Layer, Redaction, SteeringCondition};

#[test]
fn a_rule_has_what_its_action_needs_and_nothing_else() {
    let refused = |change: &dyn Fn(&mut TraitRule)| {
        let mut rule = rule("evil", sigma(3.0), Action::Block);
        change(&mut rule);
        refusal(&policy("p", "chat", vec![rule]), &vectors()).reason
    };
    for action in [Action::Steer, Action::Cap, Action::Regenerate, Action::Redact] {
        assert_eq!(refused(&|rule| rule.action = action), reason::ACTION_INCOMPLETE, "{action:?}");
    }
    let redact = Redaction { text: "…".into() };
    assert_eq!(refused(&|rule| rule.redact = Some(redact.clone())), reason::ACTION_INCOMPLETE);
    for (floor, ceiling) in [(None, None), (Some(2.0), Some(1.0)), (Some(f64::NAN), None)] {
        let capped = |rule: &mut TraitRule| {
            rule.action = Action::Cap;
            rule.cap = Some(Capping { floor, ceiling, ..Default::default() });
        };
        assert_eq!(refused(&capped), reason::ACTION_INCOMPLETE);
    }
}

#[test]
fn what_is_enforced_is_not_sampled() {
    let sampled = |action, mode, failure_policy| {
        let mut policy = policy("p", "chat", vec![rule("evil", sigma(3.0), action)]);
        policy.spec.sampling = Some(Sampling { every: Some(10), fraction: None });
        (policy.spec.mode, policy.spec.failure_policy) = (mode, failure_policy);
        resolve_policy(&policy, &model(), &vectors())
    };
    let (open, closed) = (FailurePolicy::Open, FailurePolicy::Closed);
    assert!(sampled(Action::Alert, Mode::Enforce, open).is_ok());
    assert!(sampled(Action::Block, Mode::Audit, closed).is_ok());
    for (action, failure_policy) in [(Action::Block, open), (Action::Alert, closed)] {
        let refused = sampled(action, Mode::Enforce, failure_policy).unwrap_err();
        assert_eq!(refused.reason, reason::SAMPLING_INVALID);
    }
}

#[test]
fn a_condition_on_steering_is_read_before_it_steers() {
    let conditional = |vector: &str, layer: u32, above: f64, until: Option<f64>| {
        let mut policy = steer("p", "chat", -1.0, 1);
        policy.spec.traits.push(rule("sycophantic", sigma(3.0), Action::Alert));
        policy.spec.traits[0].steer.as_mut().unwrap().when = Some(SteeringCondition {
            vector: Some(vector.into()),
            at: Default::default(),
            above,
            until,
        });
        let mut vectors = vectors();
        vectors.get_mut("sycophantic").unwrap().layer = Layer(layer);
        resolve_policy(&policy, &model(), &vectors).map_err(|rejection| rejection.reason)
    };
    assert!(conditional("sycophantic", 15, 1.0, Some(0.5)).is_ok());
    assert_eq!(conditional("sycophantic", 16, 1.0, None), Err(reason::ACTION_INCOMPLETE));
    assert_eq!(conditional("rude", 15, 1.0, None), Err(reason::ACTION_INCOMPLETE));
    assert_eq!(conditional("sycophantic", 15, 1.0, Some(1.5)), Err(reason::ACTION_INCOMPLETE));
}
