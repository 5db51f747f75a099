//! Limits on everything that a report carries, because it ends up in an object that people read.
//! Pure.

use personaguard_wire::{
    Breach, Failure, MAX_SAMPLES, PolicyAcknowledgement, SidecarReport, TraitSummary,
};

const MAX_NAME: usize = 253;
const MAX_UID: usize = 64;
const MAX_INSTANCE: usize = 64;
const MAX_RESPONSE_ID: usize = 128;
const MAX_REASON: usize = 100;
const MAX_MESSAGE: usize = 2000;
const MAX_POLICIES: usize = 128;
const MAX_TRAITS: usize = 256;
const MAX_REFUSED_TRAITS: usize = 64;
/// Beyond any score of a real model.
const MAX_SCORE: f64 = 1e15;

/// Rejects what no sidecar sends.
pub(super) fn validate(report: &SidecarReport) -> Result<(), &'static str> {
    if !is_identifier(&report.instance, MAX_INSTANCE) {
        return Err("instance must be 1 to 64 letters, digits, `-`, `_` or `.`");
    }
    if report.policies.len() > MAX_POLICIES || report.traits.len() > MAX_TRAITS {
        return Err("at most 128 policies and 256 traits are accepted");
    }
    let samples = report.traits.iter().filter(|scores| scores.sample.is_some()).count();
    if samples > MAX_SAMPLES {
        return Err("at most 48 traits with a sample are accepted");
    }
    let long_error = report.config_error.as_ref().is_some_and(|error| error.len() > MAX_MESSAGE);
    if report.model.name.len() > MAX_NAME || long_error {
        return Err("model.name or configError is too long");
    }
    if report.model.failure.as_ref().is_some_and(|failure| !is_short(failure)) {
        return Err("model.failure is too long");
    }
    report.policies.iter().try_for_each(validate_policy)?;
    report.traits.iter().try_for_each(validate_trait)
}

fn validate_policy(policy: &PolicyAcknowledgement) -> Result<(), &'static str> {
    let refused_valid = policy.refused.len() <= MAX_REFUSED_TRAITS
        && policy
            .refused
            .iter()
            .all(|refused| is_identifier(&refused.vector, MAX_NAME) && is_short(&refused.failure));
    if is_identifier(&policy.name, MAX_NAME) && policy.uid.len() <= MAX_UID && refused_valid {
        Ok(())
    } else {
        Err("an entry of policies has an invalid name, or a uid or refusal that is too long")
    }
}

fn validate_trait(scores: &TraitSummary) -> Result<(), &'static str> {
    if !is_identifier(&scores.policy, MAX_NAME) || !is_identifier(&scores.vector, MAX_NAME) {
        return Err("an entry of traits has an invalid policy or vector");
    }
    let drift = scores.drift.map(|charts| [charts.shift, charts.up, charts.down]);
    let mut numbers = [scores.mean, scores.sum_squared_deviations]
        .into_iter()
        .chain(scores.max)
        .chain(drift.into_iter().flatten());
    if !numbers.all(|number| number.is_finite() && number.abs() < MAX_SCORE) {
        return Err("an entry of traits has a score that is not a valid number");
    }
    if scores.sample.as_ref().is_some_and(|sample| !sample.is_sound()) {
        return Err("an entry of traits has an invalid sample");
    }
    if scores.last_breach.as_ref().is_some_and(|breach| !is_valid(breach)) {
        return Err("a lastBreach has an invalid responseId, score or threshold");
    }
    Ok(())
}

fn is_valid(breach: &Breach) -> bool {
    is_identifier(&breach.response_id, MAX_RESPONSE_ID)
        && breach.score.is_finite()
        && breach.threshold.is_finite()
}

fn is_short(failure: &Failure) -> bool {
    failure.reason.len() <= MAX_REASON && failure.message.len() <= MAX_MESSAGE
}

/// Text of a conversation is not one.
fn is_identifier(text: &str, max_len: usize) -> bool {
    !text.is_empty()
        && text.len() <= max_len
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
}

#[cfg(test)]
mod tests;
