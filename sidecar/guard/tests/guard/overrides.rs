//! What a request may ask for.

use crate::cases::{case, run_under};
use crate::fixtures::{VECTORS, block, plan, vector_name};
use personaguard_guard::{Override, OverrideError, Overrides, Plan};
use personaguard_terms::{
    Action, ActionKind, Coefficient, CoefficientRange, FailurePolicy, Mode, RequestBounds,
};
use personaguard_wire::ResolvedPolicy;
use proptest::prelude::*;
use std::sync::Arc;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(5_000))]

    /// What a request asks for never lets more leave than the policies do.
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
        for rule in case.policies.iter_mut().flat_map(|policy| &mut policy.traits) {
            rule.requests = Some(all);
        }
        let asked = Override { block, max, min, coefficient: None };
        let plain = plan(&case.policies);
        if let Ok(stricter) = plain.with_overrides(&[(vector_name(vector), asked)].into()) {
            let (before, after) = (run_under(&case, plain), run_under(&case, Arc::new(stricter)));
            prop_assert!(after.tokens.len() <= before.tokens.len());
            prop_assert!(before.stop.is_none() || after.stop.is_some());
        }
    }
}

fn coefficient(value: f64) -> Coefficient {
    value.try_into().unwrap()
}

fn ask(policy: &ResolvedPolicy, asked: Override) -> Result<Plan, OverrideError> {
    let overrides = Overrides::from([(vector_name(0), asked)]);
    plan(std::slice::from_ref(policy)).with_overrides(&overrides)
}

#[test]
fn a_request_gets_what_the_policy_allows_and_no_more() {
    let mut policy = block(1, 5.0, FailurePolicy::Open);
    policy.traits[0].action = Action::Alert;
    policy.traits[0].requests = Some(RequestBounds {
        block: true,
        threshold: true,
        coefficient: Some(CoefficientRange { min: coefficient(-2.0), max: coefficient(0.0) }),
    });
    let block = Override {
        block: true,
        max: Some(4.0),
        coefficient: Some(coefficient(-2.0)),
        ..Override::default()
    };
    let stricter = ask(&policy, block).unwrap();
    let rule = &stricter.rules[0];
    assert_eq!(
        (&rule.action, rule.declared_action, rule.bounds.max),
        (&Action::Block, ActionKind::Alert, Some(4.0))
    );
    assert_eq!(stricter.steering[0].coefficient, coefficient(-2.0));
    let refused = |policy: &ResolvedPolicy, asked| ask(policy, asked).unwrap_err();
    let looser = Override { max: Some(5.1), ..Override::default() };
    assert!(matches!(refused(&policy, looser), OverrideError::Looser { field: "max", .. }));
    let beyond = Override { coefficient: Some(coefficient(-2.1)), ..Override::default() };
    assert!(matches!(
        refused(&policy, beyond),
        OverrideError::Coefficient { min: -2.0, max: 0.0, .. }
    ));
    // A policy that only records, or that says nothing of requests, allows nothing.
    policy.mode = Mode::Audit;
    assert!(matches!(refused(&policy, block), OverrideError::NotAllowed { .. }));
    (policy.mode, policy.traits[0].requests) = (Mode::Enforce, None);
    assert!(matches!(refused(&policy, block), OverrideError::NotAllowed { .. }));
    let unknown = Overrides::from([(vector_name(1), Override::default())]);
    assert!(matches!(
        plan(&[policy]).with_overrides(&unknown),
        Err(OverrideError::UnknownTrait(_))
    ));
}

#[test]
fn number_9_a_request_cannot_switch_a_threshold_off() {
    let requests = RequestBounds { block: true, threshold: true, coefficient: None };
    for bounded in [true, false] {
        let mut policy = block(1, 5.0, FailurePolicy::Open);
        policy.traits[0].requests = Some(requests);
        if !bounded {
            (policy.traits[0].max, policy.traits[0].action) = (None, Action::Audit);
        }
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            for asked in [
                Override { max: Some(value), ..Override::default() },
                Override { min: Some(value), ..Override::default() },
            ] {
                assert!(ask(&policy, asked).is_err(), "{asked:?}");
            }
        }
    }
}
