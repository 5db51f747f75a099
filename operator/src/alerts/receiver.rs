//! Who receives alerts.

use super::alert::Alert;
use super::alertmanager::{Alertmanager, REPEAT_INTERVAL};
use super::error::DeliveryError;
use super::webhook::Webhook;
use crate::settings::Settings;
use jiff::Timestamp;
use std::time::Duration;

#[derive(Clone, Debug)]
pub(super) enum Receiver {
    Alertmanager(Alertmanager),
    Webhook(Webhook),
}

impl Receiver {
    /// The receivers that are configured. An empty URL is none.
    pub(super) fn from_settings(settings: &Settings) -> Vec<Self> {
        let given = |url: &Option<String>| url.clone().filter(|url| !url.is_empty());
        let secrets = settings.alertmanager_secrets.clone();
        let alertmanager = given(&settings.alertmanager_url)
            .map(|url| Self::Alertmanager(Alertmanager::new(&url, secrets)));
        let webhook = given(&settings.alert_webhook_url)
            .zip(settings.alert_webhook_secret_file.clone())
            .map(|(url, secret)| Self::Webhook(Webhook::new(url, secret)));
        alertmanager.into_iter().chain(webhook).collect()
    }

    /// For logs and metrics.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Alertmanager(_) => "alertmanager",
            Self::Webhook(_) => "webhook",
        }
    }

    /// How often a firing alert is sent again, if it is.
    pub(super) fn repeat_interval(&self) -> Option<Duration> {
        match self {
            Self::Alertmanager(_) => Some(REPEAT_INTERVAL),
            Self::Webhook(_) => None,
        }
    }

    /// Delivers alerts in order. Returns how many were accepted, and why not all of them.
    pub(super) async fn deliver(
        &self,
        http: &reqwest::Client,
        alerts: &[Alert],
        now: Timestamp,
    ) -> (usize, Result<(), DeliveryError>) {
        match self {
            Self::Alertmanager(receiver) => match receiver.deliver(http, alerts, now).await {
                Ok(()) => (alerts.len(), Ok(())),
                Err(error) => (0, Err(error)),
            },
            Self::Webhook(receiver) => {
                for (accepted, alert) in alerts.iter().enumerate() {
                    if let Err(error) = receiver.deliver(http, alert, now).await {
                        return (accepted, Err(error));
                    }
                }
                (alerts.len(), Ok(()))
            }
        }
    }
}

#[cfg(test)]
mod tests;
