//! From a sidecar's push to the counts of its pod. Pure.

use super::process::Origin;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use personaguard_api::TraitScores;
use personaguard_api::conditions::reason::{self, EVENT, REFUSED_BY_SIDECAR};
use personaguard_api::{DriftCharts, Failure, LastBreach, PodCounts, PolicyAcknowledgement};
use personaguard_wire::{PodState, Sample, SidecarReport, TraitSummary};

pub(super) fn pod_counts(
    name: &str,
    uid: &str,
    origin: Origin,
    report: &SidecarReport,
    now: Timestamp,
) -> PodCounts {
    let mut traits: Vec<_> = report.traits.iter().map(|summary| scores(summary, now)).collect();
    traits.sort_by(|a, b| (&a.policy, &a.vector).cmp(&(&b.policy, &b.vector)));
    // A sidecar that loads may say how far it is.
    let failure = report.model.failure.clone();
    let failure = failure.filter(|_| report.model.state != PodState::Ready);
    let mut policies: Vec<PolicyAcknowledgement> =
        report.policies.iter().cloned().map(Into::into).collect();
    for refused in policies.iter_mut().flat_map(|policy| &mut policy.refused) {
        refused.failure = plain_failure(&refused.failure);
    }
    for stale in policies.iter_mut().flat_map(|policy| &mut policy.stale) {
        stale.difference = plain(&stale.difference);
    }
    PodCounts {
        name: name.to_owned(),
        uid: uid.to_owned(),
        instance: report.instance.clone(),
        restarts: origin.restarts,
        own_address: origin.own_address,
        sequence: report.sequence,
        model: report.model.name.clone(),
        policies,
        failure: failure.map(|failure| plain_failure(&failure.into())),
        config_error: report.config_error.as_deref().map(plain),
        state: report.model.state.into(),
        model_digest: report.model.digest.clone(),
        totals: report.totals.into(),
        connections: report.connections.into(),
        traits,
        // It depends on what was known before.
        audit_log: None,
    }
}

/// What a sidecar says of a failure is shown to people, and its reason is a label of a metric: it
/// is one of those that a sidecar can give, and not one that the operator gives or has Events for.
fn plain_failure(failure: &Failure) -> Failure {
    let known = reason::ALL.iter().find(|known| known.name == failure.reason);
    let known = known.filter(|known| known.places.iter().all(|place| place.condition != EVENT));
    Failure {
        reason: known.map_or(REFUSED_BY_SIDECAR, |known| known.name).to_owned(),
        message: plain(&failure.message),
    }
}

/// In one line, without what a terminal takes for a command or for another direction of writing.
fn plain(text: &str) -> String {
    let formats = |c: char| {
        matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    text.chars().map(|c| if c.is_control() || formats(c) { ' ' } else { c }).collect()
}

fn scores(summary: &TraitSummary, now: Timestamp) -> TraitScores {
    let round_sample = |sample: Sample| Sample { sketch: sample.sketch.rounded(), ..sample }.into();
    TraitScores {
        policy: summary.policy.clone(),
        vector: summary.vector.clone(),
        score: summary.score,
        action: summary.action,
        mode: summary.mode,
        scored: summary.scored,
        breaches: summary.breaches,
        mean: (summary.scored > 0).then(|| round6(summary.mean)),
        sum_squared_deviations: round6(summary.sum_squared_deviations),
        max: summary.max.map(round6),
        last_breach: summary.last_breach.as_ref().map(|breach| LastBreach {
            // In seconds, as the API stores it. Not in the future: a sidecar whose clock is ahead
            // must not keep a breach active for longer.
            at: Time(Timestamp::from_second(breach.at.min(now).as_second()).unwrap_or(now)),
            score: round6(breach.score),
            threshold: round6(breach.threshold),
            response_id: breach.response_id.clone(),
        }),
        drift: summary.drift.map(|charts| DriftCharts {
            shift: round6(charts.shift),
            up: round6(charts.up),
            down: round6(charts.down),
            detected: charts.detected,
        }),
        sample: summary.sample.clone().map(round_sample),
    }
}

/// To six decimals, which read back from JSON as they were written.
pub(super) fn round6(value: f64) -> f64 {
    let rounded = (value * 1e6).round() / 1e6;
    if rounded.is_finite() { rounded } else { value }
}
