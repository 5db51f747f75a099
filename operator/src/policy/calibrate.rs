//! Part of step 5: calibration on the traffic that a policy guards. Pure.

use crate::conditions::Verdict;
use personaguard_api::conditions::{condition, reason};
use personaguard_api::{Digest, PersonaPolicy, TrafficCalibration};
use personaguard_resolve::Rejection;
use personaguard_wire::{MAX_SYSTEM_PROMPTS, ResolvedPolicy, Sample};
use std::time::Duration;

/// Between two looks at what has been sampled.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// When to look again at a policy's traffic, while it is calibrated on.
pub(super) fn look_again(in_force: Option<&ResolvedPolicy>) -> Option<Duration> {
    collects(in_force).then_some(LOOK_EVERY)
}

fn collects(in_force: Option<&ResolvedPolicy>) -> bool {
    in_force.is_some_and(|policy| policy.traits.iter().any(|rule| rule.calibrates.is_some()))
}

/// The calibrations as they should stand in the status. While nothing is collected they stay as
/// they are. Of what is collected, a larger sample takes the place of a smaller one, by a tenth at
/// least once there are enough: a service that is calibrated on for weeks costs few writes. It
/// never takes the place of a larger one: a new leader has not heard of everything yet.
pub(super) fn calibrations(
    policy: &PersonaPolicy,
    in_force: Option<&ResolvedPolicy>,
    sampled: impl Fn(&str, &Digest) -> Sample,
) -> Vec<TrafficCalibration> {
    let before: &[_] = policy.status.as_ref().map_or(&[], |status| &status.calibrations);
    let standing = policy.spec.traits.iter().filter_map(|rule| {
        let needed = policy.spec.responses_to_calibrate(rule)?;
        let known = before.iter().find(|known| known.vector == rule.vector);
        let basis = in_force
            .and_then(|policy| policy.traits.iter().find(|resolved| resolved.vector == rule.vector))
            .and_then(|resolved| resolved.calibrates.as_ref());
        let Some(basis) = basis else { return known.cloned() };
        let known = known.filter(|known| known.basis == *basis);
        let sample = sampled(&rule.vector, basis);
        let count = known.map_or(0, |known| known.count);
        let enough = if count < needed { count + 1 } else { count + count / 10 };
        match known {
            Some(known) if sample.sketch.count() < enough => Some(known.clone()),
            _ if sample.sketch.count() == 0 => None,
            _ => Some(TrafficCalibration::new(&rule.vector, sample)),
        }
    });
    standing.collect()
}

/// Whether there are responses enough; nothing where the policy is not calibrated on its traffic.
pub(super) fn calibrated(
    policy: &PersonaPolicy,
    in_force: Option<&ResolvedPolicy>,
    rejection: Option<&Rejection>,
    calibrations: &[TrafficCalibration],
) -> Option<Verdict> {
    let standing = policy.spec.traits.iter().filter_map(|rule| {
        let known = calibrations.iter().find(|known| known.vector == rule.vector);
        Some((
            rule,
            known.map_or(0, |known| known.count),
            policy.spec.responses_to_calibrate(rule)?,
        ))
    });
    let standing: Vec<_> = standing.collect();
    let (_, least, _) = standing.iter().min_by_key(|(_, count, _)| *count)?;
    let no = |message| Some(Verdict::no(condition::CALIBRATED, reason::COLLECTING, message));
    let yes = |message| Some(Verdict::yes(condition::CALIBRATED, reason::CALIBRATED, message));
    let prompts =
        calibrations.iter().map(|known| known.system_prompts.len()).max().unwrap_or_default();
    // A mixture is wider than each of its parts.
    let prompts = match prompts {
        0 | 1 => String::new(),
        MAX_SYSTEM_PROMPTS.. => {
            format!(" under {prompts} or more system prompts, and may be loose for one of them")
        }
        _ => format!(" under {prompts} system prompts, and may be loose for one of them"),
    };
    // The one that is furthest from its goal.
    let lacking = standing.iter().filter(|(_, count, needed)| count < needed);
    let lacking = lacking.max_by_key(|(_, count, needed)| needed - count);
    match (lacking, collects(in_force)) {
        (Some((rule, count, needed)), true) => {
            no(format!("{count} of {needed} responses ({}).", rule.vector))
        }
        (Some((rule, count, needed)), false) => no(format!(
            "{count} of {needed} responses ({}), and none are being collected: set spec.mode to Audit, and see condition Accepted.",
            rule.vector
        )),
        (None, true) => yes(format!(
            "There are {least} responses{prompts}. Look at status.calibrations; thresholds by sigma and quantile come into force with spec.mode Enforce."
        )),
        (None, false) if rejection.is_some_and(|why| why.reason == reason::CALIBRATION_MISSING) => {
            no("What was collected is of another vector or model: see condition Accepted."
                .to_owned())
        }
        (None, false) => yes(format!(
            "Thresholds by sigma and quantile are of {least} responses of the guarded traffic{prompts}."
        )),
    }
}

#[cfg(test)]
#[path = "calibrate_tests.rs"]
mod tests;
