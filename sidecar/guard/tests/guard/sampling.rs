//! Responses that a policy does not look at.

use crate::cases::{case, measured, pick};
use crate::fixtures::{block, plan};
use personaguard_guard::{Decision, Section};
use personaguard_terms::{Action, FailurePolicy, Mode, Sampling};
use proptest::prelude::*;
use std::sync::Arc;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(5_000))]

    /// A policy that does not look at a response neither stops nor counts it; the others act as if
    /// it was not there.
    #[test]
    fn sampling_leaves_out_whole_policies(
        case in case(Just(Mode::Enforce)),
        sampled in prop::collection::vec(any::<bool>(), 4),
    ) {
        let mut case = case;
        for policy in &mut case.policies {
            policy.failure_policy = FailurePolicy::Open;
            policy.traits.iter_mut().for_each(|rule| rule.action = Action::Alert);
        }
        let sampled = &sampled[..case.policies.len()];
        let plan = plan(&case.policies);
        let order = measured(&plan);
        let mut some = Decision::sampled(Arc::clone(&plan), sampled.into());
        let mut all = Decision::new(Arc::clone(&plan));
        for decision in [&mut some, &mut all] {
            decision.add_prompt(&pick(&case.prompt, &order));
            for token in &case.tokens {
                decision.add_token(&pick(token, &order), Section::Unknown);
            }
            decision.finish();
        }
        for (index, rule) in plan.rules.iter().enumerate() {
            let seen = (some.score(rule), some.is_breached(index));
            if sampled[rule.policy] {
                prop_assert_eq!(seen, (all.score(rule), all.is_breached(index)));
            } else {
                prop_assert_eq!(seen, (None, false));
            }
        }
    }
}

#[test]
fn an_unsampled_plan_measures_nothing() {
    let mut policy = block(1, 1.0, FailurePolicy::Open);
    policy.sampling = Some(Sampling { every: Some(2), fraction: None });
    let unsampled = plan(&[policy]).unsampled_plan();
    assert!(unsampled.vectors.is_empty() && unsampled.rules.is_empty());
    assert!(!unsampled.holds_back());
    let decision = Decision::sampled(Arc::new(unsampled), [false].into());
    assert_eq!((decision.stop(), decision.unscored()), (None, None));
}
