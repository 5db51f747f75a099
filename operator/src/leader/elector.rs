//! Takes the Lease, renews it, and gives it up.

use super::lease::{DEADLINE, LEASE, ObservedLease, claim};
use crate::context::{Fence, Metrics, Moment};
use crate::outcome::NotLeader;
use anyhow::{Context, Result};
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{Api, ObjectMeta, PostParams};
use std::time::Duration;
use tokio::time::Instant;

/// Between renewals.
const RENEW_INTERVAL: Duration = Duration::from_secs(3);
/// Between attempts, after a failure or while another operator leads.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);
/// For one attempt. Several fit between a renewal and the moment at which writes must end.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(3);
/// For giving up the Lease when the process ends.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(3);

/// Why this process leads no more.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Lost {
    #[error(transparent)]
    Lease(#[from] NotLeader),
    #[error("{0}: the Lease is given up, so that another operator can lead")]
    Stuck(String),
}

pub(crate) struct Elector {
    api: Api<Lease>,
    me: String,
    fence: Fence,
    observed: ObservedLease,
}

impl Elector {
    pub(crate) fn new(api: Api<Lease>, me: String) -> Self {
        Self { api, me, fence: Fence::default(), observed: ObservedLease::default() }
    }

    pub(crate) fn fence(&self) -> Fence {
        self.fence.clone()
    }

    /// Waits until this process leads.
    pub(crate) async fn acquire(&mut self) {
        loop {
            match tokio::time::timeout(ATTEMPT_TIMEOUT, self.try_hold()).await {
                Ok(Ok(true)) => return,
                Ok(Ok(false)) => {}
                Ok(Err(error)) => {
                    let error = format!("{error:#}");
                    tracing::warn!(error, "the Lease could not be read or taken; retrying");
                }
                Err(_) => tracing::warn!("taking the Lease timed out; retrying"),
            }
            tokio::time::sleep(RETRY_INTERVAL).await;
        }
    }

    /// Renews until the Lease is lost, or until `stuck` says that this process does no work. It
    /// must end then.
    pub(crate) async fn hold(
        &mut self,
        metrics: &Metrics,
        stuck: impl Fn() -> Option<String>,
    ) -> Lost {
        metrics.leader.set(1);
        let lost = loop {
            tokio::time::sleep(RENEW_INTERVAL).await;
            if let Some(why) = stuck() {
                break Lost::Stuck(why);
            }
            if let Err(lost) = self.renew().await {
                break lost.into();
            }
        };
        metrics.leader.set(0);
        lost
    }

    /// Tries until it succeeds, or until this process must not write any more.
    async fn renew(&mut self) -> Result<(), NotLeader> {
        loop {
            match tokio::time::timeout(ATTEMPT_TIMEOUT, self.try_hold()).await {
                Ok(Ok(true)) => return Ok(()),
                Ok(Ok(false)) => {
                    self.fence.close();
                    return Err(NotLeader);
                }
                Ok(Err(error)) => {
                    let error = format!("{error:#}");
                    tracing::warn!(error, "the Lease could not be renewed; retrying");
                }
                Err(_) => tracing::warn!("renewing the Lease timed out; retrying"),
            }
            self.fence.check()?;
            tokio::time::sleep(RETRY_INTERVAL).await;
        }
    }

    /// Gives up the Lease, so that the next leader need not wait for it to expire.
    pub(crate) async fn release(&self) {
        if self.fence.check().is_err() {
            return;
        }
        self.fence.close();
        let release = async {
            let mut lease = self.api.get(LEASE).await?;
            let spec = lease.spec.get_or_insert_default();
            if spec.holder_identity.as_deref() == Some(&self.me) {
                spec.holder_identity = None;
                self.api.replace(LEASE, &PostParams::default(), &lease).await?;
            }
            Ok::<_, kube::Error>(())
        };
        if !matches!(tokio::time::timeout(RELEASE_TIMEOUT, release).await, Ok(Ok(()))) {
            tracing::warn!("the Lease could not be given up; it will expire");
        }
    }

    /// Takes or renews the Lease if it may; says whether this process holds it. Writes carry the
    /// resource version that was read, so of two operators only one succeeds.
    async fn try_hold(&mut self) -> Result<bool> {
        let started = Moment::now();
        let Some(mut lease) = self.api.get_opt(LEASE).await.context("reading it")? else {
            let metadata = ObjectMeta { name: Some(LEASE.to_owned()), ..ObjectMeta::default() };
            let lease = Lease { metadata, spec: Some(claim(&self.me, None)) };
            let result = self.api.create(&PostParams::default(), &lease).await;
            return self.settle(result, started);
        };
        let spec = lease.spec.get_or_insert_default();
        if !self.observed.may_take(spec, &self.me, Instant::now()) {
            return Ok(false);
        }
        *spec = claim(&self.me, Some(spec));
        let result = self.api.replace(LEASE, &PostParams::default(), &lease).await;
        self.settle(result, started)
    }

    fn settle(&self, result: kube::Result<Lease>, started: Moment) -> Result<bool> {
        match result {
            Ok(_) => {
                self.fence.open_for(DEADLINE, started);
                Ok(true)
            }
            // Another operator was faster. The next read tells which one.
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(self.fence.check().is_ok()),
            Err(error) => Err(error).context("writing it"),
        }
    }
}

#[cfg(test)]
mod tests;
