//! Reasoning and answer: which tokens count for which score, and what waits for it.

use crate::fixtures::{block, plan};
use personaguard_guard::{Decision, Section, Stop};
use personaguard_terms::{EvidenceWindow, FailurePolicy, Score};
use personaguard_wire::ResolvedPolicy;

/// A policy that blocks above 1 by this score.
fn blocks(score: Score, min_tokens: u32) -> ResolvedPolicy {
    let mut policy = block(min_tokens, 1.0, FailurePolicy::Open);
    policy.traits[0].score = score;
    policy
}

fn begin(policy: ResolvedPolicy) -> Decision {
    let mut decision = Decision::new(plan(&[policy]));
    decision.add_prompt(&[0.0]);
    decision
}

/// How many tokens may leave after each of these, with their sections (`r`, `a` or `?`).
fn releases(decision: &mut Decision, tokens: &[(char, f32)]) -> Vec<usize> {
    let add = |(index, (section, projection)): (usize, &(char, f32))| {
        let section = match section {
            'r' => Section::Reasoning,
            'a' => Section::Answer,
            _ => Section::Unknown,
        };
        decision.add_token(&[*projection], section);
        decision.releasable(index + 1)
    };
    tokens.iter().enumerate().map(add).collect()
}

#[test]
fn reasoning_neither_counts_for_the_answer_nor_waits_for_it() {
    let mut decision = begin(blocks(Score::AnswerAvg, 2));
    let tokens = [('r', 9.0), ('r', 9.0), ('r', 9.0), ('a', 0.0), ('a', 1.0), ('a', 0.0)];
    assert_eq!(releases(&mut decision, &tokens), [1, 2, 3, 3, 5, 6]);
    decision.finish();
    assert_eq!((decision.stop(), decision.reasoning_tokens()), (None, 3));
    let score = decision.running_score(0).unwrap();
    assert_eq!((score.reasoning_avg(), score.answer_avg()), (Some(9.0), Some(1.0 / 3.0)));
    assert_eq!(score.response_avg(), Some(28.0 / 6.0));
}

#[test]
fn of_an_answer_past_its_threshold_nothing_leaves_and_harmless_reasoning_does_not_dilute_it() {
    let mut decision = begin(blocks(Score::AnswerAvg, 2));
    let mut tokens = vec![('r', -9.0); 50];
    tokens.extend([('a', 2.0), ('a', 2.0)]);
    assert_eq!(releases(&mut decision, &tokens).last(), Some(&50));
    assert_eq!(decision.stop(), Some(Stop::Blocked));
}

#[test]
fn reasoning_that_is_shorter_than_the_evidence_is_decided_when_the_answer_begins() {
    let mut decision = begin(blocks(Score::ReasoningAvg, 8));
    let tokens = [('r', 0.0), ('r', 0.0), ('a', 9.0), ('a', 9.0)];
    assert_eq!(releases(&mut decision, &tokens), [0, 0, 3, 4]);
    let mut decision = begin(blocks(Score::ReasoningAvg, 8));
    assert_eq!(releases(&mut decision, &[('r', 2.0), ('a', 0.0)]), [0, 0]);
    assert_eq!(decision.stop(), Some(Stop::Blocked));
}

#[test]
fn the_answer_has_no_way_back_into_the_reasoning() {
    let mut decision = begin(blocks(Score::AnswerAvg, 1));
    let tokens = [('r', 0.0), ('a', 0.0), ('r', 9.0), ('r', 9.0)];
    releases(&mut decision, &tokens);
    assert_eq!((decision.stop(), decision.reasoning_tokens()), (Some(Stop::Blocked), 1));
}

#[test]
fn tokens_that_nobody_tells_apart_count_for_every_score() {
    for score in [Score::ResponseAvg, Score::AnswerAvg, Score::ReasoningAvg] {
        let mut decision = begin(blocks(score, 2));
        releases(&mut decision, &[('?', 2.0), ('?', 2.0)]);
        assert_eq!((decision.stop(), decision.reasoning_tokens()), (Some(Stop::Blocked), 0));
    }
}

#[test]
fn what_turns_out_to_be_of_one_section_no_longer_counts_for_the_other() {
    let mut decision = begin(blocks(Score::AnswerAvg, 3));
    assert_eq!(releases(&mut decision, &[('?', 9.0), ('?', 9.0)]), [0, 0]);
    decision.set_reasoning();
    decision.add_token(&[0.0], Section::Answer);
    assert_eq!(decision.releasable(3), 2);
    decision.finish();
    assert_eq!((decision.stop(), decision.score(&decision.plan().rules[0])), (None, Some(0.0)));
    let mut decision = begin(blocks(Score::ReasoningAvg, 3));
    assert_eq!(releases(&mut decision, &[('?', 9.0), ('?', 9.0), ('a', 9.0)]), [0, 0, 3]);
    decision.finish();
    assert_eq!((decision.stop(), decision.score(&decision.plan().rules[0])), (None, None));
}

#[test]
fn a_window_looks_at_the_last_tokens_that_count() {
    let window = Some(EvidenceWindow { past: 2, of_last: 3 });
    let mut answer = blocks(Score::AnswerAvg, 1);
    answer.evidence.window = window;
    let mut decision = begin(answer);
    let tokens = [('r', 9.0), ('r', 9.0), ('a', 9.0), ('a', 0.0), ('a', 0.0), ('a', 0.0)];
    assert_eq!(releases(&mut decision, &tokens), [1, 2, 2, 2, 5, 6]);
    let mut reasoning = blocks(Score::ReasoningAvg, 1);
    reasoning.evidence.window = window;
    let mut decision = begin(reasoning);
    assert_eq!(releases(&mut decision, &[('r', 0.0), ('r', 9.0), ('a', 9.0)]), [1, 1, 3]);
    assert_eq!(decision.stop(), None);
}

#[test]
fn a_policy_that_fails_closed_waits_for_the_score_of_every_token() {
    let mut policy = blocks(Score::AnswerAvg, 1);
    policy.failure_policy = FailurePolicy::Closed;
    let mut decision = begin(policy);
    assert_eq!(releases(&mut decision, &[('r', 0.0)]), [1]);
    assert_eq!(decision.releasable(2), 1);
    decision.add_token(&[f32::NAN], Section::Reasoning);
    assert_eq!(decision.stop(), Some(Stop::Unscorable));
}
