//! Calibration on the traffic that a policy guards. Pure.

use crate::objects::conditions::NewCondition;
use personaguard_api::conditions::{condition, reason};
use personaguard_api::{Digest, PersonaPolicy, TrafficCalibration};
use personaguard_resolve::Rejection;
use personaguard_wire::{MAX_SYSTEM_PROMPTS, ResolvedPolicy, Sample};
use std::time::Duration;

/// Between checks of what has been sampled.
const CHECK_INTERVAL: Duration = Duration::from_secs(10);

/// When to check again, while responses are being collected.
pub(super) fn check_interval(in_force: Option<&ResolvedPolicy>) -> Option<Duration> {
    is_collecting(in_force).then_some(CHECK_INTERVAL)
}

fn is_collecting(in_force: Option<&ResolvedPolicy>) -> bool {
    in_force.is_some_and(|policy| policy.traits.iter().any(|rule| rule.calibrates.is_some()))
}

/// The calibrations for the status. They stay as they are while nothing is collected. While
/// responses are collected, a larger sample replaces a smaller one. Once there are enough, it must
/// be larger by a tenth, so that calibrating for weeks costs few writes. A smaller sample never
/// replaces a larger one: a new leader does not have all reports yet.
pub(super) fn calibrations(
    policy: &PersonaPolicy,
    in_force: Option<&ResolvedPolicy>,
    sampled: impl Fn(&str, &Digest) -> Sample,
) -> Vec<TrafficCalibration> {
    let before: &[_] = policy.status.as_ref().map_or(&[], |status| &status.calibrations);
    let calibrations = policy.spec.traits.iter().filter_map(|rule| {
        let needed = policy.spec.responses_to_calibrate(rule)?;
        let known = before.iter().find(|known| known.vector == rule.vector);
        let basis = in_force
            .and_then(|policy| policy.traits.iter().find(|resolved| resolved.vector == rule.vector))
            .and_then(|resolved| resolved.calibrates.as_ref());
        let Some(basis) = basis else { return known.cloned() };
        let known = known.filter(|known| known.basis == *basis);
        let sample = sampled(&rule.vector, basis);
        let count = known.map_or(0, |known| known.count);
        let worthwhile = if count < needed { count + 1 } else { count + count / 10 };
        match known {
            Some(known) if sample.sketch.count() < worthwhile => Some(known.clone()),
            _ if sample.sketch.count() == 0 => None,
            _ => Some(TrafficCalibration::new(&rule.vector, sample)),
        }
    });
    calibrations.collect()
}

/// Responses of one trait: how many there are, and how many are needed.
struct Collected<'a> {
    vector: &'a str,
    count: u64,
    needed: u64,
}

/// The responses of each trait whose threshold calibrates on traffic.
fn collected<'a>(
    policy: &'a PersonaPolicy,
    calibrations: &[TrafficCalibration],
) -> Vec<Collected<'a>> {
    let collected = policy.spec.traits.iter().filter_map(|rule| {
        let known = calibrations.iter().find(|known| known.vector == rule.vector);
        Some(Collected {
            vector: &rule.vector,
            count: known.map_or(0, |known| known.count),
            needed: policy.spec.responses_to_calibrate(rule)?,
        })
    });
    collected.collect()
}

/// Whether there are enough responses. `None` if the policy does not calibrate on its traffic.
pub(super) fn calibrated(
    policy: &PersonaPolicy,
    in_force: Option<&ResolvedPolicy>,
    rejection: Option<&Rejection>,
    calibrations: &[TrafficCalibration],
) -> Option<NewCondition> {
    let collected = collected(policy, calibrations);
    let fewest = collected.iter().map(|it| it.count).min()?;
    let prompts = system_prompts(calibrations);
    let furthest =
        collected.iter().filter(|it| it.count < it.needed).max_by_key(|it| it.needed - it.count);
    let unmet =
        |message| Some(NewCondition::unmet(condition::CALIBRATED, reason::COLLECTING, message));
    let met = |message| Some(NewCondition::met(condition::CALIBRATED, reason::CALIBRATED, message));
    match (furthest, is_collecting(in_force)) {
        (Some(Collected { vector, count, needed }), true) => {
            unmet(format!("{count} of {needed} responses ({vector})."))
        }
        (Some(Collected { vector, count, needed }), false) => unmet(format!(
            "{count} of {needed} responses ({vector}), and none are being collected: set spec.mode \
             to Audit, and see condition Accepted."
        )),
        (None, true) => met(format!(
            "There are {fewest} responses{prompts}. See status.calibrations; thresholds by sigma \
             and quantile take effect with spec.mode Enforce."
        )),
        (None, false) if rejection.is_some_and(|it| it.reason == reason::CALIBRATION_MISSING) => {
            let message = "The responses were collected with another vector or model: see \
                           condition Accepted.";
            unmet(message.to_owned())
        }
        (None, false) => met(format!(
            "Thresholds by sigma and quantile follow from {fewest} responses of the guarded \
             traffic{prompts}."
        )),
    }
}

/// A mixture of system prompts has a wider distribution than each of them alone.
fn system_prompts(calibrations: &[TrafficCalibration]) -> String {
    let most = calibrations.iter().map(|known| known.system_prompts.len()).max();
    match most.unwrap_or_default() {
        0 | 1 => String::new(),
        count @ MAX_SYSTEM_PROMPTS.. => {
            format!(" under {count} or more system prompts, and may be loose for one of them")
        }
        count => format!(" under {count} system prompts, and may be loose for one of them"),
    }
}

#[cfg(test)]
mod tests;
