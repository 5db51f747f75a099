//! Pushing reports: at once when something happened, else every few seconds if something changed.

use crate::host::Host;
use crate::telemetry::metrics::PushResult;
use anyhow::Context as _;
use personaguard_wire::SidecarReport;
use reqwest::{Certificate, Client, StatusCode};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Where reports go.
#[derive(Clone, Debug)]
pub struct Target {
    /// URL.
    pub url: String,
    /// File with the token, read anew for each push: the kubelet renews it.
    pub token_file: Option<PathBuf>,
    /// PEM bundle of the authorities that the server may present, read anew for each push: they
    /// rotate. Without the file, the system's own.
    pub ca_file: PathBuf,
}

/// Between two pushes at least, so that things that happen together travel together.
const GAP: Duration = Duration::from_millis(200);
/// Between two pushes of counts that changed.
const ROUTINE: Duration = Duration::from_secs(5);
/// Between two pushes at most, so that silence is noticed.
const HEARTBEAT: Duration = Duration::from_secs(30);
/// Waits after a failure: the first, and the longest.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(10));
/// For one push.
const TIMEOUT: Duration = Duration::from_secs(5);
/// For the last one.
const LAST_TIMEOUT: Duration = Duration::from_secs(2);

/// Pushes reports.
#[derive(Debug)]
pub struct Pusher {
    host: Arc<Host>,
    target: Target,
    client: Option<(Option<Vec<u8>>, Client)>,
    sequence: u64,
    accepted: Option<SidecarReport>,
    failures: u32,
}

impl Pusher {
    /// A pusher that has not pushed yet.
    #[must_use]
    pub fn new(host: Arc<Host>, target: Target) -> Self {
        Self { host, target, client: None, sequence: 0, accepted: None, failures: 0 }
    }

    /// Pushes until `stop`, and a last time then.
    pub async fn run(mut self, stop: CancellationToken) {
        let host = Arc::clone(&self.host);
        let mut last = Instant::now();
        let mut look = last;
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                () = host.ledger.rung() => {}
                () = tokio::time::sleep_until(look) => {
                    if self.failures == 0 && last.elapsed() < HEARTBEAT && !self.changed() {
                        look = Instant::now() + ROUTINE;
                        continue;
                    }
                }
            }
            let wait = if self.failures == 0 { GAP } else { backoff(self.failures) };
            tokio::select! {
                () = stop.cancelled() => break,
                () = tokio::time::sleep_until(last + wait) => {}
            }
            self.push(TIMEOUT).await;
            last = Instant::now();
            look = if self.failures == 0 { last + ROUTINE } else { last };
        }
        self.push(LAST_TIMEOUT).await;
    }

    fn changed(&self) -> bool {
        self.accepted.as_ref() != Some(&self.host.report(0))
    }

    async fn push(&mut self, timeout: Duration) {
        self.sequence += 1;
        let report = self.host.report(self.sequence);
        let result = match tokio::time::timeout(timeout, self.send(&report)).await {
            Ok(Ok(StatusCode::NO_CONTENT | StatusCode::OK | StatusCode::ACCEPTED)) => {
                PushResult::Accepted
            }
            Ok(Ok(status)) => {
                self.complain(&format!("the operator answered {status}"));
                // Too busy, or not the leader: it will be, or another is.
                if status.is_server_error() { PushResult::Failed } else { PushResult::Rejected }
            }
            Ok(Err(error)) => {
                self.complain(&format!("{error:#}"));
                PushResult::Failed
            }
            Err(_) => {
                self.complain("the operator did not answer in time");
                PushResult::Failed
            }
        };
        self.host.metrics.push(result);
        if result == PushResult::Accepted {
            if self.failures > 0 {
                tracing::info!(after = self.failures, "reports are taken again");
            }
            self.failures = 0;
            self.accepted = Some(SidecarReport { sequence: 0, ..report });
        } else {
            self.failures = self.failures.saturating_add(1);
        }
    }

    /// Says so the first time, and now and then.
    fn complain(&self, error: &str) {
        if self.failures.is_power_of_two() || self.failures == 0 {
            tracing::warn!(
                error,
                attempts = self.failures + 1,
                "a report was not taken; counts are kept, it is tried again"
            );
        }
    }

    async fn send(&mut self, report: &SidecarReport) -> anyhow::Result<StatusCode> {
        let mut request = self.client()?.post(&self.target.url).json(report);
        if let Some(file) = &self.target.token_file {
            let token = std::fs::read_to_string(file)
                .with_context(|| format!("reading {}", file.display()))?;
            request = request.bearer_auth(token.trim());
        }
        Ok(request.send().await.map_err(reqwest::Error::without_url)?.status())
    }

    /// The client, made anew when the authorities changed.
    fn client(&mut self) -> anyhow::Result<Client> {
        let authorities = std::fs::read(&self.target.ca_file).ok();
        if let Some((known, client)) = &self.client
            && *known == authorities
        {
            return Ok(client.clone());
        }
        let client = build(authorities.as_deref(), &self.target.ca_file)?;
        self.client = Some((authorities, client.clone()));
        Ok(client)
    }
}

/// A client that trusts these authorities alone (PEM, read from `file`); without any, the system's.
fn build(authorities: Option<&[u8]>, file: &Path) -> anyhow::Result<Client> {
    let mut builder =
        Client::builder().no_proxy().connect_timeout(TIMEOUT).pool_idle_timeout(HEARTBEAT);
    if let Some(pem) = authorities {
        let certificates = Certificate::from_pem_bundle(pem)
            .with_context(|| format!("{} is no PEM bundle", file.display()))?;
        builder = builder.tls_certs_only(certificates);
    }
    Ok(builder.build()?)
}

/// Doubles from failure to failure; half of it is chance, so that a fleet does not come back all at
/// once.
fn backoff(failures: u32) -> Duration {
    let longest = BACKOFF.0.saturating_mul(1 << failures.saturating_sub(1).min(10)).min(BACKOFF.1);
    longest.mul_f64(0.5 + 0.5 * rand::random::<f64>())
}
