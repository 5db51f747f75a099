//! An alert, with the labels of the chart's rules. Pure.

use crate::fleet::ActiveBreach;
use jiff::Timestamp;
use personaguard_api::ActionKind;
use serde::Serialize;
use std::collections::BTreeMap;

/// Two alerts with the same labels are one.
pub(super) type Labels = BTreeMap<&'static str, String>;

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Alert {
    pub(super) labels: Labels,
    pub(super) annotations: BTreeMap<&'static str, String>,
    pub(super) starts_at: Timestamp,
    /// Absent while the alert is firing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ends_at: Option<Timestamp>,
}

impl Alert {
    pub(super) fn breach(
        namespace: &str,
        workload: &str,
        active: &ActiveBreach,
        action: ActionKind,
    ) -> Self {
        let ActiveBreach { policy, vector, breach, .. } = active;
        let summary = format!("{namespace}/{workload} is past its threshold for {vector}");
        let description = format!(
            "{} in response {}. See: kubectl -n {namespace} get personareports",
            active.comparison(),
            breach.response_id
        );
        Self {
            labels: BTreeMap::from([
                ("alertname", "PersonaGuardTraitBreached".to_owned()),
                ("namespace", namespace.to_owned()),
                ("workload", workload.to_owned()),
                ("policy", policy.clone()),
                ("trait", vector.clone()),
                ("action", action.name().to_owned()),
                ("severity", action.severity().to_owned()),
            ]),
            annotations: BTreeMap::from([("summary", summary), ("description", description)]),
            starts_at: breach.at.0,
            ends_at: None,
        }
    }

    pub(super) fn drift(
        namespace: &str,
        workload: &str,
        policy: &str,
        vector: &str,
        shift: f64,
        now: Timestamp,
    ) -> Self {
        let summary = format!(
            "Scores of {vector} in {namespace}/{workload} have moved from their calibration"
        );
        let description = format!(
            "They lie {shift:+.1} standard deviations from it. They need not be past a threshold \
             yet."
        );
        Self {
            labels: BTreeMap::from([
                ("alertname", "PersonaGuardTraitDrift".to_owned()),
                ("namespace", namespace.to_owned()),
                ("workload", workload.to_owned()),
                ("policy", policy.to_owned()),
                ("trait", vector.to_owned()),
                ("severity", "warning".to_owned()),
            ]),
            annotations: BTreeMap::from([("summary", summary), ("description", description)]),
            starts_at: now,
            ends_at: None,
        }
    }
}

#[cfg(test)]
mod tests;
