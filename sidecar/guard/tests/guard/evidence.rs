//! What it takes to call it a breach, and what waits for it.

use crate::fixtures::{block, plan, redact};
use personaguard_guard::{Decision, Section, Stop};
use personaguard_terms::{EvidenceWindow, FailurePolicy};

#[test]
fn tokens_wait_for_the_first_decision_and_then_for_their_own_score_alone() {
    let mut decision = Decision::new(plan(&[block(3, 1.0, FailurePolicy::Open)]));
    decision.add_prompt(&[0.0]);
    let mut released = Vec::new();
    for sampled in 1..=5 {
        decision.add_token(&[0.5], Section::Unknown);
        released.push(decision.releasable(sampled));
    }
    assert_eq!(released, [0, 0, 3, 4, 5]);
    decision.add_token(&[100.0], Section::Unknown);
    assert_eq!((decision.stop(), decision.releasable(6)), (Some(Stop::Blocked), 5));
    let breach = decision.take_breaches();
    assert_eq!((breach.len(), breach[0].threshold), (1, 1.0));
}

#[test]
fn a_score_on_the_threshold_is_within() {
    let mut decision = Decision::new(plan(&[block(1, 0.5, FailurePolicy::Open)]));
    decision.add_prompt(&[0.0]);
    decision.add_token(&[0.5], Section::Unknown);
    assert_eq!(decision.stop(), None);
    decision.add_token(&[0.6], Section::Unknown);
    assert_eq!(decision.stop(), Some(Stop::Blocked));
}

/// A window holds back nothing until a token is past the threshold, and then from that token on.
#[test]
fn with_a_window_tokens_wait_from_the_first_one_past_the_threshold_on() {
    let mut policy = block(1, 1.0, FailurePolicy::Open);
    policy.evidence.window = Some(EvidenceWindow { past: 2, of_last: 3 });
    let mut decision = Decision::new(plan(&[policy]));
    decision.add_prompt(&[0.0]);
    let mut released = Vec::new();
    for (sampled, projection) in [0.0, 5.0, 0.0, 0.0, 5.0, 0.0].into_iter().enumerate() {
        decision.add_token(&[projection], Section::Unknown);
        released.push(decision.releasable(sampled + 1));
    }
    assert_eq!(released, [1, 1, 1, 4, 4, 4]);
    decision.add_token(&[6.0], Section::Unknown);
    assert_eq!((decision.stop(), decision.releasable(7)), (Some(Stop::Blocked), 4));
    assert_eq!(decision.take_breaches()[0].score, 6.0);
}

#[test]
fn at_the_end_what_waited_for_more_evidence_leaves() {
    let mut policy = block(1, 1.0, FailurePolicy::Open);
    policy.evidence.window = Some(EvidenceWindow { past: 2, of_last: 8 });
    let mut decision = Decision::new(plan(&[policy]));
    decision.add_prompt(&[0.0]);
    decision.add_token(&[5.0], Section::Unknown);
    assert_eq!(decision.releasable(1), 0);
    decision.finish();
    assert_eq!((decision.stop(), decision.releasable(1)), (None, 1));
}

#[test]
fn of_several_breaches_at_one_token_the_most_intrusive_action_wins() {
    let both = [redact(1.0), block(1, 1.0, FailurePolicy::Open)];
    for policies in [both.clone(), [both[1].clone(), both[0].clone()]] {
        let mut decision = Decision::new(plan(&policies));
        decision.add_prompt(&[0.0]);
        decision.add_token(&[2.0], Section::Unknown);
        assert_eq!((decision.stop(), decision.redaction()), (Some(Stop::Blocked), None));
    }
    let mut decision = Decision::new(plan(&both[..1]));
    decision.add_prompt(&[0.0]);
    decision.add_token(&[2.0], Section::Unknown);
    assert_eq!(
        (decision.stop(), decision.redaction().map(|text| &**text)),
        (Some(Stop::Redacted), Some("[removed]"))
    );
}
