//! The alerts that are firing, from what sidecars reported.

use super::alert::Alert;
use crate::context::Context;
use crate::fleet::{Fleet, active_breaches};
use jiff::Timestamp;
use kube::ResourceExt as _;
use personaguard_api::{ActionKind, Mode, PersonaPolicy, TraitScores};

/// Every active breach and every drift.
pub(super) fn firing(context: &Context, fleet: &Fleet, now: Timestamp) -> Vec<Alert> {
    let mut alerts = Vec::new();
    for policy in context.stores.policies.all() {
        let namespace = policy.namespace().unwrap_or_default();
        for (workload, scores) in fleet.scores_within(&namespace) {
            alerts.extend(breaches(&namespace, &workload, &policy, &scores, now));
            alerts.extend(drifts(&namespace, &workload, &policy, &scores, now));
        }
    }
    for alert in &mut alerts {
        let heading = alert.labels["alertname"].to_lowercase();
        let runbook = format!("{}#{heading}", context.settings.runbook_url);
        alert.annotations.insert("runbook_url", runbook);
        for (name, value) in &context.settings.alert_labels {
            alert.labels.entry(*name).or_insert_with(|| value.clone());
        }
    }
    alerts
}

fn breaches(
    namespace: &str,
    workload: &str,
    policy: &PersonaPolicy,
    scores: &[TraitScores],
    now: Timestamp,
) -> impl Iterator<Item = Alert> {
    active_breaches(policy, scores, now).into_iter().filter_map(move |breach| {
        let of_trait = scores
            .iter()
            .find(|scores| scores.policy == breach.policy && scores.vector == breach.vector);
        let taken = of_trait.filter(|scores| scores.mode == Mode::Enforce);
        let action = taken.map_or(ActionKind::Audit, |scores| scores.action);
        action.notifies().then(|| Alert::breach(namespace, workload, &breach, action))
    })
}

fn drifts(
    namespace: &str,
    workload: &str,
    policy: &PersonaPolicy,
    scores: &[TraitScores],
    now: Timestamp,
) -> impl Iterator<Item = Alert> {
    let name = policy.name_any();
    scores.iter().filter_map(move |scores| {
        let charts = scores.drift.filter(|charts| charts.detected)?;
        let listed = scores.policy == name
            && policy.spec.traits.iter().any(|rule| rule.vector == scores.vector);
        listed.then(|| Alert::drift(namespace, workload, &name, &scores.vector, charts.shift, now))
    })
}
