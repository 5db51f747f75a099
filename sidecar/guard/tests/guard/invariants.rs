//! Invariants 1, 2 and 9.

use crate::cases::{Case, Sections, case, policy, reads, run};
use crate::fixtures::{VECTORS, plan, plan_with};
use crate::reference::allowed;
use personaguard_guard::{Decision, Stop, UnscoredReason};
use personaguard_terms::{Action, FailurePolicy, Mode};
use personaguard_wire::{Failure, UnresolvedPolicy};
use proptest::prelude::*;
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
        prop_assert!(!plan.holds_back() && !plan.redacts());
        prop_assert!(plan.steering.is_empty() && plan.caps.is_empty());
        let seen = run(&case);
        prop_assert_eq!(seen.tokens.len(), case.tokens.len());
        prop_assert_eq!(seen.stop, None);
    }

    #[test]
    fn invariant_9_what_cannot_be_scored_follows_the_failure_policy(
        policies in prop::collection::vec(policy(Just(Mode::Enforce)), 1..4),
        total in 1..30_usize,
        at in 0..30_usize,
        reads in reads(),
    ) {
        let tokens = vec![vec![0.0; VECTORS]; total];
        let sections = Sections::default();
        let mut case = Case { policies, prompt: vec![0.0; VECTORS], tokens, reads, sections };
        // Rules that only record, so that nothing else stops the response.
        for rule in case.policies.iter_mut().flat_map(|policy| &mut policy.traits) {
            rule.action = Action::Alert;
        }
        let at = at % total;
        case.tokens[at] = vec![f32::NAN; VECTORS];
        let seen = run(&case);
        prop_assert_eq!(seen.unscored, Some(UnscoredReason::NotFinite));
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
    assert_eq!((open.stop(), open.unscored()), (None, Some(UnscoredReason::PolicyUnresolved)));
}
