//! What must hold within one policy. The API server checks most of it; manifests that are read from
//! a folder have not been there.

use crate::rejection::Rejection;
use crate::vector::VectorInput;
use personaguard_api::conditions::reason;
use personaguard_api::{
    Action, Capping, FailurePolicy, Mode, PersonaPolicySpec, Positions, Sampling, Score, TraitRule,
};
use personaguard_wire::parts;
use std::collections::BTreeMap;

/// Checks that a rule has the fields that its action needs and no others, with values that make
/// sense.
pub(super) fn check_fields(rule: &TraitRule) -> Result<(), Rejection> {
    let given = [
        (Action::Steer, rule.steer.is_some(), "steer"),
        (Action::Cap, rule.cap.is_some(), "cap"),
        (Action::Regenerate, rule.regenerate.is_some(), "regenerate"),
        (Action::Redact, rule.redact.is_some(), "redact"),
    ];
    if let Some((action, _, field)) =
        given.into_iter().find(|(action, given, _)| (rule.action == *action) != *given)
    {
        let message = format!(
            "trait `{}`: {field} goes with action {action:?}, and nowhere else",
            rule.vector
        );
        return Err(Rejection::new(reason::ACTION_INCOMPLETE, message));
    }
    let invalid = |floor: Option<f64>, ceiling: Option<f64>| {
        let sides: Vec<f64> = [floor, ceiling].into_iter().flatten().collect();
        sides.is_empty() || sides.iter().any(|side| !side.is_finite()) || !sides.is_sorted()
    };
    // Bounds at further layers alone: none at the vector's own.
    let only_further =
        |cap: &Capping| !cap.layers.is_empty() && cap.floor.is_none() && cap.ceiling.is_none();
    if rule.cap.as_ref().is_some_and(|cap| {
        (!only_further(cap) && invalid(cap.floor, cap.ceiling))
            || cap.layers.iter().any(|bounds| invalid(bounds.floor, bounds.ceiling))
    }) {
        let message = format!(
            "trait `{}`: give cap.floor, cap.ceiling or both, with the floor below",
            rule.vector
        );
        return Err(Rejection::new(reason::ACTION_INCOMPLETE, message));
    }
    let layers = parts(rule.steer.as_ref(), rule.cap.as_ref());
    if layers.windows(2).any(|pair| pair[0] == pair[1]) {
        let message = format!("trait `{}`: give each of its layers once", rule.vector);
        return Err(Rejection::new(reason::ACTION_INCOMPLETE, message));
    }
    if rule.action == Action::Regenerate && rule.score == Score::PromptLast {
        let message =
            format!("trait `{}`: action Regenerate goes with score ResponseAvg", rule.vector);
        return Err(Rejection::new(reason::ACTION_INCOMPLETE, message));
    }
    Ok(())
}

/// Checks the condition on a rule's steering: its vector is a trait of the same policy, and is read
/// no later than at the first layer that is steered.
pub(super) fn check_condition(
    rule: &TraitRule,
    traits: &[TraitRule],
    vectors: &BTreeMap<String, VectorInput>,
) -> Result<(), Rejection> {
    let Some((steer, when)) =
        rule.steer.as_ref().and_then(|steer| Some((steer, steer.when.as_ref()?)))
    else {
        return Ok(());
    };
    let refuse = |problem: String| {
        Err(Rejection::new(
            reason::ACTION_INCOMPLETE,
            format!("steer.when of trait `{}`: {problem}", rule.vector),
        ))
    };
    let name = when.vector.as_ref().unwrap_or(&rule.vector);
    if !traits.iter().any(|rule| rule.vector == *name) {
        return refuse(format!(
            "`{name}` is not a trait of this policy: add it, with action Audit"
        ));
    }
    if let (Some(read), Some(steered)) = (vectors.get(name), vectors.get(&rule.vector))
        && let lowest = steer.layers.iter().min().unwrap_or(&steered.layer)
        && read.layer > *lowest
    {
        return refuse(format!(
            "`{name}` is read at layer {}, and layer {lowest} is steered before that: use a vector \
             at layer {lowest} or below",
            read.layer
        ));
    }
    if steer.positions != Positions::Response {
        return refuse("it goes with positions Response".to_owned());
    }
    let until = when.until.unwrap_or(when.above);
    if !when.above.is_finite() || !until.is_finite() || until > when.above {
        return refuse(
            "`until` must not be greater than `above`, and both must be finite".to_owned(),
        );
    }
    Ok(())
}

/// Checks that nothing that is enforced is sampled, and that the evidence can be met.
pub(super) fn check_sampling_and_evidence(spec: &PersonaPolicySpec) -> Result<(), Rejection> {
    let never_acts = |rule: &TraitRule| rule.action <= Action::Alert && rule.requests.is_none();
    let can_be_sampled = spec.mode == Mode::Audit
        || (spec.failure_policy == FailurePolicy::Open && spec.traits.iter().all(never_acts));
    if spec.sampling.is_some() && !can_be_sampled {
        let message = "what is enforced cannot be sampled: leave spec.sampling out, or use actions \
                       Audit and Alert with failurePolicy Open and without requests";
        return Err(Rejection::new(reason::SAMPLING_INVALID, message));
    }
    let valid = |sampling: Sampling| match (sampling.fraction, sampling.every) {
        (Some(fraction), None) => fraction > 0.0 && fraction <= 1.0,
        (None, Some(every)) => every > 0,
        _ => false,
    };
    if spec.sampling.is_some_and(|sampling| !valid(sampling)) {
        let message = "give exactly one of sampling.fraction (above 0, at most 1) and \
                       sampling.every (at least 1)";
        return Err(Rejection::new(reason::SAMPLING_INVALID, message));
    }
    if let Some(window) = spec.evidence.window
        && !(1..=window.of_last).contains(&window.past)
    {
        let message = "evidence.window.past must be at least 1, and at most evidence.window.ofLast";
        return Err(Rejection::new(reason::THRESHOLD_INVALID, message));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
