//! What may leave by the words of the invariant, worked out rule by rule and without the state
//! machine.

use crate::cases::Case;
use crate::fixtures::vector_index;
use personaguard_terms::{Action, EvidenceWindow, FailurePolicy, Mode, Score};
use personaguard_wire::{ResolvedPolicy, ResolvedTrait};

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
    let acts = acts && rule.score == Score::ResponseAvg;
    let projections: Vec<f64> = case.tokens.iter().map(|token| f64::from(token[vector])).collect();
    let scored = projections.iter().take_while(|projection| projection.is_finite()).count();
    // From the first token that cannot be scored on, a policy that fails closed lets nothing pass,
    // and no policy decides anything more.
    let unscorable = (scored < projections.len() && closed).then_some(scored);
    let breach = match policy.evidence.window {
        Some(window) => window_breach(rule, window, &projections[..scored]),
        None => mean_breach(rule, policy.evidence.min_tokens as usize, &projections, scored),
    };
    unscorable.into_iter().chain(breach.filter(|_| acts)).collect()
}

fn past(rule: &ResolvedTrait, score: f64) -> bool {
    rule.max.is_some_and(|max| score > max) || rule.min.is_some_and(|min| score < min)
}

/// The first token past the threshold in the first window that is full.
fn window_breach(rule: &ResolvedTrait, window: EvidenceWindow, scored: &[f64]) -> Option<usize> {
    let past: Vec<bool> = scored.iter().map(|projection| past(rule, *projection)).collect();
    let (needed, size) = (window.past as usize, window.of_last as usize);
    let mut windows = (1..=past.len()).map(|end| (end.saturating_sub(size), end));
    let (begin, end) = windows
        .find(|(begin, end)| past[*begin..*end].iter().filter(|past| **past).count() >= needed)?;
    Some(begin + past[begin..end].iter().position(|past| *past).unwrap_or(0))
}

/// The token at which the running mean is first past the threshold, or 0 if nothing has left yet.
fn mean_breach(
    rule: &ResolvedTrait,
    min_tokens: usize,
    projections: &[f64],
    scored: usize,
) -> Option<usize> {
    let mean = |tokens: usize| projections[..tokens].iter().sum::<f64>() / tokens as f64;
    let breach = (min_tokens..=scored).find(|tokens| past(rule, mean(*tokens)));
    if let Some(tokens) = breach {
        return Some(if tokens == min_tokens { 0 } else { tokens - 1 });
    }
    // A short response is decided at its end.
    let total = projections.len();
    let short = total > 0 && total < min_tokens && scored == total;
    (short && past(rule, mean(total))).then_some(0)
}
