//! The status of a `PersonaReport`. Pure.

use super::audit_logs::audit_log_intact;
use super::breach::{ActiveBreach, active_breaches, comparison, excess};
use super::counts::WorkloadCounts;
use super::workload::display_name;
use crate::objects::conditions::{NewCondition, conditions};
use jiff::Timestamp;
use personaguard_api::conditions::{condition, reason};
use personaguard_api::{PersonaPolicy, PersonaReportStatus, TraitScores, WorkloadReference};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// Silent pods that a message names.
const MAX_NAMED_PODS: usize = 3;

/// What a status follows from.
pub(super) struct StatusInputs<'a> {
    pub(super) workload: &'a WorkloadReference,
    pub(super) counts: &'a WorkloadCounts,
    /// Policies of the namespace that are not being deleted.
    pub(super) policies: &'a [Arc<PersonaPolicy>],
    /// Names of the workload's pods that have a sidecar.
    pub(super) sidecar_pods: &'a BTreeSet<String>,
    /// Names of those whose sidecar has not reported recently.
    pub(super) silent_pods: &'a BTreeSet<String>,
    /// Names of those for which two processes report.
    pub(super) contested_pods: &'a BTreeSet<String>,
    pub(super) before: Option<&'a PersonaReportStatus>,
    /// The worst score of `before` is not to be relied on.
    pub(super) forget_worst: bool,
    /// A policy of the namespace cannot be read, so no breach or drift is known to be over.
    pub(super) held: bool,
    pub(super) now: Timestamp,
}

/// The status, and after how long it changes even if nothing happens.
pub(super) fn status(inputs: &StatusInputs<'_>) -> (PersonaReportStatus, Option<Duration>) {
    let StatusInputs {
        workload,
        counts,
        policies,
        sidecar_pods,
        silent_pods,
        before,
        held,
        now,
        ..
    } = inputs;
    let mut status = counts.to_status();
    status.workload = display_name(workload);
    status.pods_reporting =
        format!("{}/{}", sidecar_pods.len() - silent_pods.len(), sidecar_pods.len());
    let known = before.filter(|_| !inputs.forget_worst).and_then(|it| it.worst.as_deref());
    status.worst = worst(known, &status.traits);
    let breaches: Vec<_> =
        policies.iter().flat_map(|policy| active_breaches(policy, &status.traits, *now)).collect();
    let changes_in = breaches.iter().map(|breach| breach.left).min();
    let always = [
        trait_breached(&breaches),
        drift_detected(policies, &status.traits),
        reporting(sidecar_pods, silent_pods, inputs.contested_pods),
    ];
    let new: Vec<_> = always.into_iter().chain(audit_log_intact(counts.pods())).collect();
    let known = before.map(|before| before.conditions.as_slice()).unwrap_or_default();
    status.conditions = conditions(&new, known, None, *now);
    for held_condition in status.conditions.iter_mut().filter(|it| *held && it.status == "False") {
        let lasting = [condition::TRAIT_BREACHED, condition::DRIFT_DETECTED];
        let lasting = lasting.contains(&held_condition.type_.as_str());
        let found = known.iter().find(|it| it.type_ == held_condition.type_ && it.status == "True");
        if let Some(found) = found.filter(|_| lasting) {
            *held_condition = found.clone();
        }
    }
    (status, changes_in)
}

/// Whether two statuses differ in nothing but sequence numbers, which alone are not worth a write.
pub(super) fn equivalent(a: &PersonaReportStatus, b: &PersonaReportStatus) -> bool {
    let without_sequence = |status: &PersonaReportStatus| {
        let mut status = status.clone();
        status.pods.iter_mut().for_each(|pod| pod.sequence = 0);
        status
    };
    without_sequence(a) == without_sequence(b)
}

fn trait_breached(breaches: &[ActiveBreach]) -> NewCondition {
    let worst = breaches.iter().max_by(|a, b| a.excess().total_cmp(&b.excess()));
    let Some(worst) = worst else {
        return NewCondition::unmet(
            condition::TRAIT_BREACHED,
            reason::WITHIN_THRESHOLDS,
            "No trait is past its threshold.",
        );
    };
    let more = match breaches.len() {
        1 => String::new(),
        count => format!(" {} more traits are past their thresholds.", count - 1),
    };
    let message = format!(
        "{} under policy {} (response {}).{more} See status.traits, and the application's own log \
         for that response.",
        worst.comparison(),
        worst.policy,
        worst.breach.response_id
    );
    NewCondition::met(condition::TRAIT_BREACHED, reason::THRESHOLD_PASSED, message)
}

/// Drift counts only for traits that a policy still lists.
fn drift_detected(policies: &[Arc<PersonaPolicy>], traits: &[TraitScores]) -> NewCondition {
    let listed = |scores: &&TraitScores| {
        policies.iter().any(|policy| {
            policy.metadata.name.as_ref() == Some(&scores.policy)
                && policy.spec.traits.iter().any(|rule| rule.vector == scores.vector)
        })
    };
    let drifting = traits
        .iter()
        .filter(listed)
        .filter_map(|scores| Some((scores, scores.drift.filter(|charts| charts.detected)?)));
    let mut drifting: Vec<_> = drifting.collect();
    drifting.sort_by(|(_, a), (_, b)| b.shift.abs().total_cmp(&a.shift.abs()));
    let Some((scores, charts)) = drifting.first() else {
        let message = "No trait's scores have moved from their calibration.";
        return NewCondition::unmet(condition::DRIFT_DETECTED, reason::SCORES_STEADY, message);
    };
    let more = match drifting.len() {
        1 => String::new(),
        count => format!(" The scores of {} more traits have moved.", count - 1),
    };
    let message = format!(
        "Scores of {} under policy {} lie {:+.1} standard deviations from their calibration.{more} \
         If the service is meant to answer like this, calibrate on its own traffic.",
        scores.vector, scores.policy, charts.shift
    );
    NewCondition::met(condition::DRIFT_DETECTED, reason::SCORES_MOVED, message)
}

fn reporting(
    sidecar_pods: &BTreeSet<String>,
    silent: &BTreeSet<String>,
    contested: &BTreeSet<String>,
) -> NewCondition {
    if let Some(pod) = contested.first() {
        let message = format!(
            "Two processes report for pod {pod}. The one that is within the pod is believed, or \
             the first where that cannot be seen. Delete the pod; if it comes back, see who may \
             create tokens for its ServiceAccount."
        );
        return NewCondition::unmet(condition::REPORTING, reason::REPORTS_CONTESTED, message);
    }
    if silent.is_empty() {
        let message = format!("All pods with a sidecar report ({}).", sidecar_pods.len());
        return NewCondition::met(condition::REPORTING, reason::ALL_PODS_REPORT, message);
    }
    let named: Vec<_> = silent.iter().take(MAX_NAMED_PODS).map(String::as_str).collect();
    let message = format!(
        "{} of {} pods with a sidecar have not reported recently, among them {}: check the log of \
         their container personaguard, and whether they reach the operator's Service \
         personaguard-reports.",
        silent.len(),
        sidecar_pods.len(),
        named.join(", ")
    );
    NewCondition::unmet(condition::REPORTING, reason::PODS_SILENT, message)
}

/// The breach furthest past its threshold: one of the last breaches, or the worst one before.
fn worst(before: Option<&str>, traits: &[TraitScores]) -> Option<String> {
    let new = traits.iter().filter_map(|scores| Some((scores, scores.last_breach.as_ref()?)));
    let new = new.max_by(|(_, a), (_, b)| excess(a).total_cmp(&excess(b)));
    let known = before.and_then(|text| {
        let words: Vec<&str> = text.split(' ').collect();
        let [_, score, _, threshold] = words.as_slice() else { return None };
        Some((text, (score.parse::<f64>().ok()? - threshold.parse::<f64>().ok()?).abs()))
    });
    match (known, new) {
        // The text has one decimal, so only a larger difference counts.
        (Some((text, known)), Some((_, new))) if excess(new) < known + 0.1 => Some(text.to_owned()),
        (_, Some((of, new))) => Some(comparison(&of.vector, of.score, new)),
        (known, None) => known.map(|(text, _)| text.to_owned()),
    }
}

#[cfg(test)]
mod tests;
