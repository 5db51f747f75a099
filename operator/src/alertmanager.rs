//! Breaches sent to an Alertmanager (API v2), where no Prometheus evaluates the chart's rules.

use crate::context::Context;
use crate::fleet::report::in_force;
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt as _;
use personaguard_crds::Action;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// Alerts end by themselves if they are not sent again for so long.
const ENDS_AFTER: SignedDuration = SignedDuration::from_mins(5);
/// Between two times that alerts in force are sent.
const REPEAT: Duration = Duration::from_secs(60);
/// For one request.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Where alerts go, if they go anywhere.
#[derive(Debug)]
pub(crate) struct Alerts {
    url: Option<String>,
    changed: Notify,
}

impl Alerts {
    pub(crate) fn new(url: Option<&str>) -> Self {
        let url = url.filter(|url| !url.is_empty()).map(|url| format!("{}/api/v2/alerts", url.trim_end_matches('/')));
        Self { url, changed: Notify::new() }
    }

    /// There are breaches that were not sent yet.
    pub(crate) fn ring(&self) {
        self.changed.notify_one();
    }
}

/// Sends alerts for as long as the process leads.
pub(crate) async fn run(context: Arc<Context>) {
    let Some(url) = &context.alerts.url else { return std::future::pending().await };
    let client = match reqwest::Client::builder().timeout(TIMEOUT).build() {
        Ok(client) => client,
        Err(error) => {
            tracing::error!(%error, "no alerts are sent");
            return std::future::pending().await;
        }
    };
    loop {
        tokio::select! {
            () = context.alerts.changed.notified() => {}
            () = tokio::time::sleep(REPEAT) => {}
        }
        let alerts = alerts(&context, Timestamp::now());
        if alerts.is_empty() || context.cluster.check().is_err() {
            continue;
        }
        let sent = client.post(url).json(&alerts).send().await.and_then(reqwest::Response::error_for_status);
        if let Err(error) = sent {
            tracing::warn!(error = %error.without_url(), alerts = alerts.len(), "the Alertmanager did not take alerts; they are sent again");
        }
    }
}

/// Every breach in force, with the labels of the chart's rule.
fn alerts(context: &Context, now: Timestamp) -> Vec<Value> {
    let mut alerts = Vec::new();
    for policy in context.world.policies.all() {
        let namespace = policy.namespace().unwrap_or_default();
        for (workload, scores) in context.fleet.scores_within(&namespace) {
            for breach in in_force(&policy, &scores, now) {
                let action = scores
                    .iter()
                    .find(|scores| scores.policy == breach.policy && scores.vector == breach.vector)
                    .map_or(Action::Audit, |scores| scores.action);
                if action >= Action::Alert {
                    alerts.push(alert(&namespace, &workload, &breach, action, now));
                }
            }
        }
    }
    alerts
}

fn alert(
    namespace: &str,
    workload: &str,
    breach: &crate::fleet::report::InForce,
    action: Action,
    now: Timestamp,
) -> Value {
    json!({
        "labels": {
            "alertname": "PersonaGuardTraitBreached", "namespace": namespace, "workload": workload,
            "policy": breach.policy, "trait": breach.vector, "action": format!("{action:?}"),
            "severity": if action >= Action::Redact { "critical" } else { "warning" }
        },
        "annotations": {
            "summary": format!("{namespace}/{workload} is past its threshold for {}", breach.vector),
            "description": format!(
                "Score {:.2}, threshold {:.2}, response {}. See: kubectl -n {namespace} get personareports",
                breach.breach.score, breach.breach.threshold, breach.breach.response_id
            )
        },
        "startsAt": breach.breach.at.0.to_string(),
        "endsAt": (now + ENDS_AFTER).to_string()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::report::InForce;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use personaguard_crds::LastBreach;

    #[test]
    fn an_alert_has_the_labels_of_the_rule_and_ends_by_itself() {
        let at = Timestamp::from_second(1_700_000_000).unwrap();
        let breach = InForce {
            policy: "no-villains".into(),
            vector: "evil".into(),
            breach: LastBreach { at: Time(at), score: 5.14, threshold: 4.2, response_id: "chatcmpl-1".into() },
            left: Duration::from_secs(600),
        };
        let alert = alert("support", "Deployment/chat", &breach, Action::Block, at);
        assert_eq!(alert["labels"]["severity"], "critical");
        assert_eq!(alert["labels"]["action"], "Block");
        assert_eq!(alert["startsAt"], "2023-11-14T22:13:20Z");
        assert_eq!(alert["endsAt"], "2023-11-14T22:18:20Z");
    }

    #[test]
    fn without_a_url_nothing_is_sent() {
        assert!(Alerts::new(None).url.is_none());
        assert!(Alerts::new(Some("")).url.is_none());
        assert_eq!(Alerts::new(Some("http://a:9093/")).url.as_deref(), Some("http://a:9093/api/v2/alerts"));
    }
}
