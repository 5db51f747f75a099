//! Keeps the certificates fresh, and hands new ones to the report server and the configs.

use super::rotation::{Certificates, Schedule, rotate};
use super::secret::{self, SECRET};
use super::tls::with_certificate;
use super::trust_bundle::TrustBundle;
use crate::context::Context;
use crate::keys::Key;
use anyhow::{Context as _, Result};
use axum_server::tls_rustls::RustlsConfig;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::PostParams;
use personaguard_api::names;
use std::sync::Arc;
use std::time::Duration;

/// After a renewal that failed.
const RETRY_INTERVAL: Duration = Duration::from_secs(30);

pub(crate) struct Renewal {
    pub(crate) context: Arc<Context>,
    /// Of the report server.
    pub(crate) tls: RustlsConfig,
    pub(crate) trust_bundle: TrustBundle,
}

impl Renewal {
    /// Renews whatever is due and puts it into use. Returns when to do so again. Until it succeeds,
    /// the report server refuses every handshake.
    async fn renew(&self) -> Result<Duration> {
        let schedule = Schedule::default();
        let now = Timestamp::now();
        let certificates = self.rotate_stored(schedule, now).await?;
        let serving = &certificates.serving;
        self.tls.reload_from_config(with_certificate(&serving.certificate, &serving.key)?);
        self.context.metrics.certificate_expiry.set(serving.until.as_second());
        self.publish(&certificates.trust_bundle());
        let wait = certificates.next_check(schedule, now);
        Ok(Duration::try_from(wait).unwrap_or(Duration::from_secs(60)))
    }

    /// Renews for as long as the process leads, first after `wait`.
    pub(crate) async fn run(self, mut wait: Duration) {
        loop {
            tokio::time::sleep(wait).await;
            wait = self.try_renew().await;
        }
    }

    /// A Secret that cannot be written, because of a quota, say, stops nothing else.
    pub(crate) async fn try_renew(&self) -> Duration {
        self.renew().await.unwrap_or_else(|error| {
            let error = format!("{error:#}");
            tracing::warn!(error, "certificates could not be renewed; retrying");
            RETRY_INTERVAL
        })
    }

    async fn rotate_stored(&self, schedule: Schedule, now: Timestamp) -> Result<Certificates> {
        let api: Api<Secret> =
            self.context.cluster.namespaced(&self.context.settings.installation.namespace);
        let stored = api.get_opt(SECRET).await.context("reading the Secret of the certificates")?;
        let before = stored.as_ref().and_then(secret::read);
        let hosts = [self.context.settings.report_host(), "localhost".to_owned()];
        let certificates =
            rotate(before.clone(), &hosts, schedule, now).context("making certificates")?;
        if before.as_ref() != Some(&certificates) {
            let version = stored.and_then(|secret| secret.metadata.resource_version);
            self.store(&api, &certificates, version).await?;
            tracing::info!(until = %certificates.serving.until, "certificates were renewed");
        }
        Ok(certificates)
    }

    /// The write carries the resource version that was read, so of two operators only one succeeds.
    async fn store(
        &self,
        api: &Api<Secret>,
        certificates: &Certificates,
        version: Option<String>,
    ) -> Result<()> {
        self.context.cluster.check_leading()?;
        let params = PostParams {
            field_manager: Some(names::FIELD_MANAGER.to_owned()),
            ..PostParams::default()
        };
        let replace = version.is_some();
        let secret = secret::write(certificates, version);
        let result = if replace {
            api.replace(SECRET, &params, &secret).await
        } else {
            api.create(&params, &secret).await
        };
        result.context("writing the Secret of the certificates")?;
        Ok(())
    }

    /// Configs carry the bundle, so every scope is due when it changes.
    fn publish(&self, pem: &str) {
        let before = self.trust_bundle.replace(pem.to_owned());
        if before != pem && !before.is_empty() {
            for scope in self.context.stores.scopes() {
                self.context.queue.push(Key::Scope(scope));
            }
        }
    }
}
