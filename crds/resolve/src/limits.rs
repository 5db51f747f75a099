//! The ranges and combinations that the API server holds policies to. They are checked here as
//! well: a manifest that is read from a folder, and a policy from before its kind was upgraded, had
//! no API server that knew them.

use crate::rejection::Rejection;
use personaguard_api::conditions::reason;
use personaguard_api::{ConditionAt, PersonaPolicySpec, Threshold, TraitRule};
use personaguard_wire::Selector;

const MAX_TRAITS: usize = 16;
const MAX_LAYERS: usize = 64;
const MAX_REDACTION_CHARS: usize = 2000;

/// Checks a policy, apart from its traits.
pub(crate) fn of_policy(spec: &PersonaPolicySpec) -> Result<(), Rejection> {
    let count = spec.traits.len();
    if count > MAX_TRAITS {
        let message = format!("spec.traits has {count} entries: a policy has {MAX_TRAITS} at most");
        return Err(Rejection::new(reason::ACTION_INCOMPLETE, message));
    }
    let invalid = |message: &str| Err(Rejection::new(reason::THRESHOLD_INVALID, message));
    if spec.evidence.min_tokens > 256 {
        return invalid("evidence.minTokens lies from 1 to 256");
    }
    let window = spec.evidence.window.as_ref();
    if window.is_some_and(|window| window.past.max(window.of_last) > 64) {
        return invalid("evidence.window.past and .ofLast lie from 1 to 64");
    }
    let calibration = spec.calibration.as_ref();
    if calibration.is_some_and(|source| !(50..=100_000).contains(&source.min_responses)) {
        return invalid("calibration.minResponses lies from 50 to 100000");
    }
    if !(10..=86_400).contains(&spec.recover_after_seconds) {
        return invalid("recoverAfterSeconds lies from 10 to 86400");
    }
    Ok(())
}

/// Checks that a selector has values where its operators need them, and nowhere else. With none, In
/// would select no pod, and NotIn every one.
pub(crate) fn of_selector(selector: &Selector) -> Result<(), Rejection> {
    let wrong = selector.match_expressions.iter().find(|it| {
        let has_values = it.values.as_ref().is_some_and(|values| !values.is_empty());
        has_values != ["In", "NotIn"].contains(&it.operator.as_str())
    });
    let Some(wrong) = wrong else { return Ok(()) };
    let message = format!(
        "spec.selector: operators In and NotIn need values, Exists and DoesNotExist have none \
         (label `{}`)",
        wrong.key
    );
    Err(Rejection::new(reason::SELECTOR_INVALID, message))
}

/// Checks one trait.
pub(crate) fn of_rule(rule: &TraitRule) -> Result<(), Rejection> {
    if let Some(problem) = rule.threshold.as_ref().and_then(threshold_problem) {
        let message = format!("threshold of trait `{}`: {problem}", rule.vector);
        return Err(Rejection::new(reason::THRESHOLD_INVALID, message));
    }
    let asks = rule.requests.is_some_and(|requests| requests.block || requests.threshold);
    if asks && rule.threshold.is_none() {
        let message = format!(
            "trait `{}`: requests.block and requests.threshold need a threshold that callers start \
             from",
            rule.vector
        );
        return Err(Rejection::new(reason::THRESHOLD_INVALID, message));
    }
    match action_problem(rule) {
        Some(problem) => {
            let message = format!("trait `{}`: {problem}", rule.vector);
            Err(Rejection::new(reason::ACTION_INCOMPLETE, message))
        }
        None => Ok(()),
    }
}

fn threshold_problem(threshold: &Threshold) -> Option<&'static str> {
    if threshold.quantile.is_some_and(|q| !(0.5..=0.99999).contains(&q)) {
        return Some("quantile lies from 0.5 to 0.99999");
    }
    let sigma = threshold.sigma.filter(|sigma| !(0.0..=20.0).contains(sigma));
    sigma.map(|_| "sigma lies from 0 to 20")
}

fn action_problem(rule: &TraitRule) -> Option<&'static str> {
    let coefficient = rule.requests.and_then(|requests| requests.coefficient);
    if coefficient.is_some_and(|range| range.min > range.max) {
        return Some("requests.coefficient.min must not be above .max");
    }
    if rule.regenerate.is_some_and(|regenerate| !(1..=4).contains(&regenerate.attempts)) {
        return Some("regenerate.attempts lies from 1 to 4");
    }
    let text = rule.redact.as_ref().map(|redact| redact.text.as_str());
    if text.is_some_and(|text| text.chars().count() > MAX_REDACTION_CHARS) {
        return Some("redact.text has 2000 characters at most");
    }
    let steered = rule.steer.as_ref().map_or(0, |steer| steer.layers.len());
    let capped = rule.cap.as_ref().map_or(0, |cap| cap.layers.len());
    if steered.max(capped) > MAX_LAYERS {
        return Some("give 64 layers at most");
    }
    let when = rule.steer.as_ref().and_then(|steer| steer.when.as_ref());
    let until = when.is_some_and(|when| when.until.is_some() && when.at != ConditionAt::Token);
    until.then_some("steer.when.until goes with at Token")
}

#[cfg(test)]
mod tests;
