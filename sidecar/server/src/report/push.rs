//! When reports are pushed: at once if something happened, otherwise every few seconds if
//! something changed.

use super::client::{ReportClient, ReportTarget};
use super::failures::Failures;
use super::ledger::Ledger;
use super::process_key::ProcessKey;
use crate::telemetry::Metrics;
use crate::telemetry::labels::PushResult;
use personaguard_terms::with_causes;
use personaguard_wire::SidecarReport;
use reqwest::StatusCode;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

/// The least time between two pushes, so that what happens together travels together.
const MIN_INTERVAL: Duration = Duration::from_millis(200);
/// Time between two pushes of counts that changed.
const CHANGED_INTERVAL: Duration = Duration::from_secs(5);
/// The most time between two pushes, so that silence is noticed.
const MAX_INTERVAL: Duration = Duration::from_secs(30);
/// Time for one push.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Time for one attempt at the last push, and for all of them: as long as one operator may take to
/// follow another. What is not taken by then is lost.
const LAST_TIMEOUT: Duration = Duration::from_secs(2);
const LAST_ATTEMPTS: Duration = Duration::from_secs(10);

/// Makes the report as of now. The pusher sets its sequence number.
type ReportSource = Box<dyn Fn() -> SidecarReport + Send>;

/// Pushes reports to the operator.
pub struct ReportPusher {
    source: ReportSource,
    ledger: Arc<Ledger>,
    metrics: Arc<Metrics>,
    client: ReportClient,
    sequence: u64,
    /// The last report that was accepted.
    accepted: Option<SidecarReport>,
    failures: Failures,
}

impl fmt::Debug for ReportPusher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReportPusher").field("client", &self.client).finish_non_exhaustive()
    }
}

impl ReportPusher {
    /// Pushes what `source` reports, signed with `key`: at once whenever `ledger` says that
    /// something happened.
    #[must_use]
    pub fn new(
        source: impl Fn() -> SidecarReport + Send + 'static,
        ledger: Arc<Ledger>,
        metrics: Arc<Metrics>,
        target: ReportTarget,
        key: Arc<ProcessKey>,
    ) -> Self {
        Self {
            source: Box::new(source),
            ledger,
            metrics,
            client: ReportClient::new(target, key),
            sequence: 0,
            accepted: None,
            failures: Failures::default(),
        }
    }

    /// Pushes until `stop`, and a last time then.
    pub async fn run(mut self, stop: CancellationToken) {
        let ledger = Arc::clone(&self.ledger);
        let mut pushed = Instant::now();
        let mut look = pushed;
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                () = ledger.notified() => {}
                () = sleep_until(look) => {
                    let silent = pushed.elapsed() >= MAX_INTERVAL;
                    if self.failures.count() == 0 && !silent && !self.has_changed() {
                        look = Instant::now() + CHANGED_INTERVAL;
                        continue;
                    }
                }
            }
            let wait = self.failures.next_wait().unwrap_or(MIN_INTERVAL);
            tokio::select! {
                () = stop.cancelled() => break,
                () = sleep_until(pushed + wait) => {}
            }
            self.push(TIMEOUT).await;
            pushed = Instant::now();
            look = if self.failures.count() == 0 { pushed + CHANGED_INTERVAL } else { pushed };
        }
        self.push_last().await;
    }

    /// The last push. Nobody knows this process's counts after it.
    async fn push_last(&mut self) {
        let end = Instant::now() + LAST_ATTEMPTS;
        loop {
            if self.push(LAST_TIMEOUT).await != PushResult::Failed {
                return;
            }
            match self.failures.next_wait().map(|wait| Instant::now() + wait) {
                Some(at) if at < end => sleep_until(at).await,
                _ => return,
            }
        }
    }

    fn has_changed(&self) -> bool {
        self.accepted.as_ref() != Some(&(self.source)())
    }

    async fn push(&mut self, limit: Duration) -> PushResult {
        self.sequence += 1;
        let report = (self.source)();
        let numbered = SidecarReport { sequence: self.sequence, ..report.clone() };
        let result = match timeout(limit, self.client.send(&numbered)).await {
            Ok(Ok(StatusCode::NO_CONTENT | StatusCode::OK | StatusCode::ACCEPTED)) => {
                PushResult::Accepted
            }
            Ok(Ok(status)) => {
                self.warn(&format!("the operator answered {status}"));
                // Overloaded or not the leader: this one or another will take it.
                if status.is_server_error() { PushResult::Failed } else { PushResult::Rejected }
            }
            Ok(Err(error)) => {
                self.warn(&with_causes(&error));
                PushResult::Failed
            }
            Err(_) => {
                self.warn("the operator did not answer in time");
                PushResult::Failed
            }
        };
        self.metrics.process.count_push(result);
        if result == PushResult::Accepted {
            if self.failures.count() > 0 {
                tracing::info!(failures = self.failures.count(), "reports are accepted again");
            }
            self.failures = Failures::default();
            self.accepted = Some(report);
        } else {
            self.failures.add();
        }
        result
    }

    fn warn(&self, error: &str) {
        if self.failures.should_log() {
            tracing::warn!(
                error,
                attempts = self.failures.count() + 1,
                "a report was not accepted; its counts are kept and sent again"
            );
        }
    }
}

#[cfg(test)]
mod tests;
