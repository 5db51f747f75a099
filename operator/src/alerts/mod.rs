//! Breaches and drift told to people where no Prometheus evaluates the chart's rules: to an
//! Alertmanager, to a webhook, or both. Each has an outbox of its own, so that one that is away
//! holds up no other.

mod alertmanager;
mod outbox;
mod webhook;

use crate::context::Context;
use crate::fleet::report::{compared, in_force};
use alertmanager::Alertmanager;
use jiff::Timestamp;
use kube::ResourceExt as _;
use outbox::{Outbox, Parcel};
use personaguard_api::Action;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;
use webhook::Webhook;

/// Between two looks at what is in force, where nothing rings.
const LOOK: Duration = Duration::from_secs(30);
/// After a delivery that failed: at first, and at most. Doubled each time.
const RETRY: Duration = Duration::from_secs(1);
const LONGEST_RETRY: Duration = Duration::from_secs(60);
/// For one request.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Something that people should know.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Alert {
    /// What it is about, as the chart's rules label it. Two alerts of the same labels are one.
    pub(crate) labels: BTreeMap<&'static str, String>,
    pub(crate) annotations: BTreeMap<&'static str, String>,
    pub(crate) starts_at: Timestamp,
    /// When it ended. Not there while it is in force.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ends_at: Option<Timestamp>,
}

/// A delivery that failed. No URL in it: people put secrets there.
#[derive(Debug, thiserror::Error)]
enum Undelivered {
    #[error("{0}")]
    Http(reqwest::Error),
    #[error("{0}")]
    Secret(String),
}

impl From<reqwest::Error> for Undelivered {
    fn from(error: reqwest::Error) -> Self {
        Self::Http(error.without_url())
    }
}

/// A way to tell people.
#[derive(Clone, Debug)]
enum Receiver {
    Alertmanager(Alertmanager),
    Webhook(Webhook),
}

impl Receiver {
    /// For logs and metrics.
    fn name(&self) -> &'static str {
        match self {
            Self::Alertmanager(_) => "alertmanager",
            Self::Webhook(_) => "webhook",
        }
    }

    /// After how long an alert in force is told again.
    fn repeat(&self) -> Option<Duration> {
        match self {
            Self::Alertmanager(_) => Some(alertmanager::REPEAT),
            Self::Webhook(_) => None,
        }
    }

    /// Delivers in order; gives how many of the alerts were taken, and why not all of them.
    async fn deliver(
        &self,
        http: &reqwest::Client,
        parcel: &Parcel,
        now: Timestamp,
    ) -> (usize, Result<(), Undelivered>) {
        match self {
            Self::Alertmanager(to) => match to.deliver(http, parcel.alerts(), now).await {
                Ok(()) => (parcel.alerts().len(), Ok(())),
                Err(error) => (0, Err(error)),
            },
            Self::Webhook(to) => {
                for (taken, alert) in parcel.alerts().iter().enumerate() {
                    if let Err(error) = to.deliver(http, alert, now).await {
                        return (taken, Err(error));
                    }
                }
                (parcel.alerts().len(), Ok(()))
            }
        }
    }
}

/// Where alerts go, if they go anywhere.
#[derive(Debug)]
pub(crate) struct Alerts {
    receivers: Vec<Receiver>,
    changed: watch::Sender<()>,
}

impl Alerts {
    /// From the settings; an empty URL is none.
    pub(crate) fn new(settings: &crate::settings::Settings) -> Self {
        let given = |url: &Option<String>| url.clone().filter(|url| !url.is_empty());
        let alertmanager = given(&settings.alertmanager_url)
            .map(|url| Receiver::Alertmanager(Alertmanager::new(&url)));
        let webhook = given(&settings.alert_webhook_url)
            .zip(settings.alert_webhook_secret_file.clone())
            .map(|(url, secret)| Receiver::Webhook(Webhook::new(url, secret)));
        Self {
            receivers: alertmanager.into_iter().chain(webhook).collect(),
            changed: watch::Sender::new(()),
        }
    }

    /// There is something that was not told yet.
    pub(crate) fn ring(&self) {
        self.changed.send_replace(());
    }
}

/// Tells people for as long as the process leads.
pub(crate) async fn run(context: Arc<Context>) {
    let mut tasks = JoinSet::new();
    for receiver in context.alerts.receivers.clone() {
        tasks.spawn(tell(Arc::clone(&context), receiver));
    }
    if tasks.join_next().await.is_none() {
        std::future::pending::<()>().await;
    }
}

async fn tell(context: Arc<Context>, receiver: Receiver) {
    let http = match reqwest::Client::builder()
        .timeout(TIMEOUT)
        .redirect(reqwest::redirect::Policy::none())
        .build()
    {
        Ok(http) => http,
        Err(error) => {
            tracing::error!(%error, "no alerts are sent");
            return std::future::pending().await;
        }
    };
    let mut changed = context.alerts.changed.subscribe();
    let mut outbox = Outbox::new(receiver.repeat());
    let mut retry: Option<Duration> = None;
    loop {
        // While a receiver is away, what rings waits with the rest.
        tokio::select! {
            _ = changed.changed(), if retry.is_none() => {}
            () = tokio::time::sleep(retry.unwrap_or(LOOK)) => {}
        }
        if context.cluster.check().is_err() {
            continue;
        }
        let now = Timestamp::now();
        let lost = outbox.observe(firing(&context, now), now);
        if lost > 0 {
            tracing::error!(
                receiver = receiver.name(),
                lost,
                "too many alerts wait for their receiver; the oldest were dropped"
            );
            context.metrics.alerts(receiver.name(), "dropped", lost);
        }
        let parcel = outbox.due(now);
        let (taken, result) = receiver.deliver(&http, &parcel, now).await;
        outbox.delivered(&parcel, taken, now);
        context.metrics.alerts(receiver.name(), "delivered", taken);
        retry = match result {
            Ok(()) => None,
            Err(error) => {
                context.metrics.alerts(receiver.name(), "failed", 1);
                let again = retry.map_or(RETRY, |before| (before * 2).min(LONGEST_RETRY));
                tracing::warn!(receiver = receiver.name(), %error, waiting = parcel.alerts().len() - taken, again_in_s = again.as_secs(), "alerts were not taken; they are sent again");
                Some(again)
            }
        };
    }
}

/// Every breach and every drift in force, with the labels of the chart's rules.
fn firing(context: &Context, now: Timestamp) -> Vec<Alert> {
    let mut alerts = Vec::new();
    for policy in context.world.policies.all() {
        let namespace = policy.namespace().unwrap_or_default();
        let name = policy.name_any();
        for (workload, scores) in context.fleet.scores_within(&namespace) {
            for breach in in_force(&policy, &scores, now) {
                let of = scores.iter().find(|scores| {
                    scores.policy == breach.policy && scores.vector == breach.vector
                });
                let action = of.map_or(Action::Audit, |scores| scores.action);
                if action >= Action::Alert {
                    alerts.push(Alert::breach(&namespace, &workload, &breach, action));
                }
            }
            let moved = scores.iter().filter(|scores| scores.policy == name).filter_map(|scores| {
                let charts = scores.drift.filter(|charts| charts.detected)?;
                let named = policy.spec.traits.iter().any(|rule| rule.vector == scores.vector);
                named.then(|| {
                    Alert::drift(&namespace, &workload, &name, &scores.vector, charts.shift, now)
                })
            });
            alerts.extend(moved);
        }
    }
    for alert in &mut alerts {
        let heading = alert.labels["alertname"].to_lowercase();
        alert
            .annotations
            .insert("runbook_url", format!("{}#{heading}", context.settings.runbook_url));
    }
    alerts
}

impl Alert {
    fn breach(
        namespace: &str,
        workload: &str,
        breach: &crate::fleet::report::InForce,
        action: Action,
    ) -> Self {
        let severity = if action >= Action::Redact { "critical" } else { "warning" };
        Self {
            labels: BTreeMap::from([
                ("alertname", "PersonaGuardTraitBreached".to_owned()),
                ("namespace", namespace.to_owned()),
                ("workload", workload.to_owned()),
                ("policy", breach.policy.clone()),
                ("trait", breach.vector.clone()),
                ("action", format!("{action:?}")),
                ("severity", severity.to_owned()),
            ]),
            annotations: BTreeMap::from([
                (
                    "summary",
                    format!("{namespace}/{workload} is past its threshold for {}", breach.vector),
                ),
                (
                    "description",
                    format!(
                        "{} in response {}. See: kubectl -n {namespace} get personareports",
                        compared(&breach.vector, &breach.breach),
                        breach.breach.response_id
                    ),
                ),
            ]),
            starts_at: breach.breach.at.0,
            ends_at: None,
        }
    }

    fn drift(
        namespace: &str,
        workload: &str,
        policy: &str,
        vector: &str,
        shift: f64,
        now: Timestamp,
    ) -> Self {
        Self {
            labels: BTreeMap::from([
                ("alertname", "PersonaGuardTraitDrift".to_owned()),
                ("namespace", namespace.to_owned()),
                ("workload", workload.to_owned()),
                ("policy", policy.to_owned()),
                ("trait", vector.to_owned()),
                ("severity", "warning".to_owned()),
            ]),
            annotations: BTreeMap::from([
                (
                    "summary",
                    format!(
                        "Scores of {vector} in {namespace}/{workload} have moved from their calibration"
                    ),
                ),
                (
                    "description",
                    format!(
                        "They lie {shift:+.1} standard deviations from it. It need not be past a threshold yet."
                    ),
                ),
            ]),
            starts_at: now,
            ends_at: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::report::InForce;
    use crate::policy::fixtures::settings;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use personaguard_api::LastBreach;

    #[test]
    fn an_alert_has_the_labels_of_the_rule_and_a_severity_by_its_action() {
        let at = Timestamp::from_second(1_700_000_000).unwrap();
        let breach = InForce {
            policy: "no-villains".into(),
            vector: "evil".into(),
            breach: LastBreach {
                at: Time(at),
                score: 5.14,
                threshold: 4.2,
                response_id: "chatcmpl-1".into(),
            },
            left: Duration::from_secs(600),
        };
        let alert = Alert::breach("support", "Deployment/chat", &breach, Action::Block);
        assert_eq!(
            (alert.labels["severity"].as_str(), alert.labels["action"].as_str()),
            ("critical", "Block")
        );
        assert!(alert.annotations["description"].contains("evil 5.1 > 4.2"), "{alert:?}");
        assert_eq!(
            Alert::breach("support", "Deployment/chat", &breach, Action::Steer).labels["severity"],
            "warning"
        );
        assert_eq!(alert.starts_at, at);
    }

    #[test]
    fn without_a_url_nothing_is_sent() {
        assert!(Alerts::new(&settings(&[])).receivers.is_empty());
        assert!(Alerts::new(&settings(&["--alertmanager-url="])).receivers.is_empty());
        let both = settings(&[
            "--alertmanager-url=http://a:9093/",
            "--alert-webhook-url=http://b/hook",
            "--alert-webhook-secret-file=/secret",
        ]);
        assert_eq!(Alerts::new(&both).receivers.len(), 2);
    }
}
