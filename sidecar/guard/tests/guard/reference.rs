//! What may leave by the words of the invariant, worked out rule by rule and without the state
//! machine.

use crate::cases::{Case, Sections};
use crate::fixtures::vector_index;
use personaguard_terms::{Action, EvidenceWindow, FailurePolicy, Mode, Score};
use personaguard_wire::{ResolvedPolicy, ResolvedTrait};
use std::ops::Range;

/// The most tokens of a case that may leave, and whether anything had to be stopped.
pub(crate) fn allowed(case: &Case) -> (usize, bool) {
    let enforced = case.policies.iter().filter(|policy| policy.mode == Mode::Enforce);
    let rules = enforced.flat_map(|policy| policy.traits.iter().map(move |rule| (policy, rule)));
    let cuts: Vec<_> = rules.flat_map(|(policy, rule)| cuts(case, policy, rule)).collect();
    let total = case.tokens.len();
    (cuts.iter().copied().min().unwrap_or(total).min(total), !cuts.is_empty())
}

/// For each reason that one rule has to cut the response: how many tokens may leave.
fn cuts(case: &Case, policy: &ResolvedPolicy, rule: &ResolvedTrait) -> Vec<usize> {
    let vector = vector_index(&rule.vector);
    let closed = policy.failure_policy == FailurePolicy::Closed;
    let acts = matches!(rule.action, Action::Block | Action::Redact(_));
    if !case.prompt[vector].is_finite() {
        return closed.then_some(0).into_iter().collect();
    }
    let prompt = f64::from(case.prompt[vector]);
    if acts && rule.score == Score::PromptLast && past(rule, prompt) {
        return vec![0];
    }
    let acts = acts && rule.score != Score::PromptLast;
    let projections: Vec<f64> = case.tokens.iter().map(|token| f64::from(token[vector])).collect();
    let scored = projections.iter().take_while(|projection| projection.is_finite()).count();
    // From the first token that cannot be scored on, a policy that fails closed lets nothing pass,
    // and no policy decides anything more.
    let unscorable = (scored < projections.len() && closed).then_some(scored);
    let breach = match policy.evidence.window {
        Some(window) => window_breach(case, rule, window, &projections[..scored]),
        None => mean_breach(case, rule, policy.evidence.min_tokens as usize, &projections, scored),
    };
    unscorable.into_iter().chain(breach.filter(|_| acts)).collect()
}

/// The tokens that count for a rule, as far as it is known once so many have come.
fn counted(case: &Case, rule: &ResolvedTrait, tokens: usize) -> Range<usize> {
    let Sections { unknown, reasoning } = case.sections;
    if rule.score == Score::ResponseAvg || tokens <= unknown {
        return 0..tokens;
    }
    let reasoning = reasoning.min(tokens);
    if rule.score == Score::AnswerAvg { reasoning..tokens } else { 0..reasoning }
}

fn past(rule: &ResolvedTrait, score: f64) -> bool {
    rule.max.is_some_and(|max| score > max) || rule.min.is_some_and(|min| score < min)
}

/// The first token past the threshold in the first window that is full.
fn window_breach(
    case: &Case,
    rule: &ResolvedTrait,
    window: EvidenceWindow,
    scored: &[f64],
) -> Option<usize> {
    let past: Vec<bool> = scored.iter().map(|projection| past(rule, *projection)).collect();
    let (needed, size) = (window.past as usize, window.of_last as usize);
    let window_at = |tokens: usize| {
        let counted = counted(case, rule, tokens);
        counted.end.saturating_sub(size).max(counted.start)..counted.end
    };
    // Only a token that counts can complete a window.
    let mut windows = (1..=past.len()).map(window_at).scan(0..0, |last, window| {
        Some((std::mem::replace(last, window.clone()) != window).then_some(window))
    });
    let full =
        |window: &Range<usize>| past[window.clone()].iter().filter(|past| **past).count() >= needed;
    let window = windows.by_ref().flatten().find(full)?;
    Some(window.start + past[window].iter().position(|past| *past).unwrap_or(0))
}

/// The token at which the running mean is first past the threshold, or the first that counts if
/// none that does has left yet.
fn mean_breach(
    case: &Case,
    rule: &ResolvedTrait,
    min_tokens: usize,
    projections: &[f64],
    scored: usize,
) -> Option<usize> {
    let is_decided = |tokens: usize| {
        let is_over = rule.score == Score::ReasoningAvg
            && tokens > case.sections.unknown.max(case.sections.reasoning);
        counted(case, rule, tokens).len() >= min_tokens || is_over
    };
    let is_past = |tokens: usize| {
        let counted = &projections[counted(case, rule, tokens)];
        let mean = counted.iter().sum::<f64>() / counted.len() as f64;
        !counted.is_empty() && past(rule, mean)
    };
    let total = projections.len();
    let at_end = (scored == total && is_past(total)).then_some(total + 1);
    let breach = (1..=scored).find(|tokens| is_decided(*tokens) && is_past(*tokens)).or(at_end)?;
    // What could leave before: all that was decided on, or else what did not count.
    let leaves = (1..breach).map(|tokens| {
        let counted = counted(case, rule, tokens);
        if is_decided(tokens) || counted.is_empty() { tokens } else { counted.start }
    });
    Some(leaves.max().unwrap_or(0))
}
