//! What cannot be scored, by whose doing it is.

use crate::fixtures::{block, plan};
use personaguard_guard::{Decision, Stop, UnscoredReason};
use personaguard_terms::{Action, FailurePolicy, Mode, UnscorableRequests};
use personaguard_wire::ResolvedPolicy;

fn stops(policy: &ResolvedPolicy, reason: UnscoredReason) -> bool {
    let mut decision = Decision::new(plan(std::slice::from_ref(policy)));
    decision.fail(reason);
    assert_eq!(decision.unscored(), Some(reason), "it counts in any case");
    decision.stop() == Some(Stop::Unscorable)
}

#[test]
fn invariant_9_faults_follow_the_failure_policy_and_requests_their_own() {
    for failure_policy in [FailurePolicy::Open, FailurePolicy::Closed] {
        for unscorable in [UnscorableRequests::Refuse, UnscorableRequests::Pass] {
            let mut policy = block(1, 1.0, failure_policy);
            policy.unscorable_requests = Some(unscorable);
            for reason in UnscoredReason::ALL {
                let refuses = match reason {
                    UnscoredReason::NotUnderstood | UnscoredReason::TooLong => {
                        unscorable == UnscorableRequests::Refuse
                    }
                    _ => failure_policy == FailurePolicy::Closed,
                };
                assert_eq!(
                    stops(&policy, reason),
                    refuses,
                    "{failure_policy:?} {unscorable:?} {reason:?}"
                );
            }
        }
    }
}

#[test]
fn a_client_cannot_choose_to_go_unscored_unless_the_policy_lets_it() {
    let refuses = |action: Action, mode: Mode, failure_policy| {
        let mut policy = block(1, 1.0, failure_policy);
        policy.mode = mode;
        policy.traits[0].action = action;
        plan(&[policy]).refuses_unscorable()
    };
    let (open, closed) = (FailurePolicy::Open, FailurePolicy::Closed);
    assert!(refuses(Action::Block, Mode::Enforce, open));
    assert!(refuses(Action::Alert, Mode::Enforce, closed));
    assert!(!refuses(Action::Alert, Mode::Enforce, open));
    for failure_policy in [open, closed] {
        assert!(!refuses(Action::Block, Mode::Audit, failure_policy), "Audit changes nothing");
    }
}
