//! An Alertmanager, through its API v2. A firing alert is sent to it repeatedly; it merges alerts
//! by their labels.

use super::alert::Alert;
use super::error::DeliveryError;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use std::time::Duration;

/// How often a firing alert is sent.
pub(super) const REPEAT_INTERVAL: Duration = Duration::from_secs(60);
/// An alert that is not repeated for so long ends: an operator that died cannot end it.
const ENDS_AFTER: SignedDuration = SignedDuration::from_mins(5);

#[derive(Clone, Debug)]
pub(super) struct Alertmanager {
    url: String,
}

impl Alertmanager {
    pub(super) fn new(base: &str) -> Self {
        Self { url: format!("{}/api/v2/alerts", base.trim_end_matches('/')) }
    }

    pub(super) async fn deliver(
        &self,
        http: &reqwest::Client,
        alerts: &[Alert],
        now: Timestamp,
    ) -> Result<(), DeliveryError> {
        if !alerts.is_empty() {
            http.post(&self.url).json(&body(alerts, now)).send().await?.error_for_status()?;
        }
        Ok(())
    }
}

fn body(alerts: &[Alert], now: Timestamp) -> Value {
    let alerts = alerts.iter().map(|alert| {
        json!({
            "labels": alert.labels,
            "annotations": alert.annotations,
            "startsAt": alert.starts_at,
            "endsAt": alert.ends_at.unwrap_or(now + ENDS_AFTER),
        })
    });
    alerts.collect()
}

#[cfg(test)]
mod tests;
