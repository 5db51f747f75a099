//! Leader election by a Lease, with fencing: nothing is written after the time for which the Lease
//! surely is ours.
//!
//! kube 5 has no elector that fences, so this is one: the holder renews every few seconds; another
//! may take over only [`DURATION`] after the last renewal that it saw; the holder stops writing
//! [`DEADLINE`] after the *start* of its last renewal, which is sooner by the clock of either.

use crate::metrics::Metrics;
use anyhow::{Context, Result};
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{Api, ObjectMeta, PostParams};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tokio::time::Instant;

/// Name of the Lease, in the operator's namespace.
pub(crate) const LEASE: &str = "personaguard-operator";
/// How long others leave an old Lease alone.
const DURATION: Duration = Duration::from_secs(15);
/// How long after a renewal the holder may write.
const DEADLINE: Duration = Duration::from_secs(10);
/// Between renewals.
const RENEW: Duration = Duration::from_secs(3);
/// Between attempts, after a failure or while another leads.
const RETRY: Duration = Duration::from_secs(1);

/// Whether this process still leads, by time.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fence(Arc<RwLock<Option<Instant>>>);

/// This process does not lead, or cannot be sure of it.
#[derive(Debug, thiserror::Error)]
#[error("this operator does not hold the Lease {LEASE}")]
pub(crate) struct NotLeader;

impl Fence {
    /// To be called before each write.
    pub(crate) fn check(&self) -> Result<(), NotLeader> {
        self.check_at(Instant::now())
    }

    fn check_at(&self, now: Instant) -> Result<(), NotLeader> {
        let until = *self.0.read().unwrap_or_else(PoisonError::into_inner);
        if until.is_some_and(|until| now < until) { Ok(()) } else { Err(NotLeader) }
    }

    fn renewed(&self, started: Instant) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(started + DEADLINE);
    }

    fn lower(&self) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// A Lease of another as it was last seen to change, by the own clock: clocks of two nodes may
/// differ.
#[derive(Debug, Default)]
struct Observed {
    renewal: Option<(String, Option<Timestamp>)>,
    since: Option<Instant>,
}

impl Observed {
    /// Whether the Lease may be taken.
    fn free(&mut self, spec: &LeaseSpec, me: &str, now: Instant) -> bool {
        let holder = spec.holder_identity.clone().unwrap_or_default();
        if holder.is_empty() || holder == me {
            return true;
        }
        let renewal = Some((holder, spec.renew_time.as_ref().map(|time| time.0)));
        if self.renewal != renewal {
            self.renewal = renewal;
            self.since = Some(now);
        }
        let duration = spec.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
        self.since
            .is_some_and(|since| now - since >= duration.map_or(DURATION, Duration::from_secs))
    }
}

/// Takes part in the election.
pub(crate) struct Elector {
    api: Api<Lease>,
    me: String,
    fence: Fence,
    observed: Observed,
}

impl Elector {
    pub(crate) fn new(api: Api<Lease>, me: String) -> Self {
        Self { api, me, fence: Fence::default(), observed: Observed::default() }
    }

    pub(crate) fn fence(&self) -> Fence {
        self.fence.clone()
    }

    /// Waits until this process leads.
    pub(crate) async fn acquire(&mut self) {
        loop {
            match self.attempt().await {
                Ok(true) => return,
                Ok(false) => {}
                Err(error) => {
                    tracing::warn!(
                        error = format!("{error:#}"),
                        "the Lease could not be read or taken; trying again"
                    );
                }
            }
            tokio::time::sleep(RETRY).await;
        }
    }

    /// Renews until leadership is lost; the process must end then.
    pub(crate) async fn hold(&mut self, metrics: &Metrics) -> NotLeader {
        metrics.leader.set(1);
        loop {
            tokio::time::sleep(RENEW).await;
            loop {
                let left = tokio::time::timeout(DEADLINE, self.attempt()).await;
                match left {
                    Ok(Ok(true)) => break,
                    Ok(Ok(false)) => {
                        self.fence.lower();
                        metrics.leader.set(0);
                        return NotLeader;
                    }
                    Ok(Err(error)) => tracing::warn!(
                        error = format!("{error:#}"),
                        "the Lease could not be renewed"
                    ),
                    Err(_) => tracing::warn!("renewing the Lease takes too long"),
                }
                if self.fence.check().is_err() {
                    metrics.leader.set(0);
                    return NotLeader;
                }
                tokio::time::sleep(RETRY).await;
            }
        }
    }

    /// Gives the Lease back, so that another need not wait.
    pub(crate) async fn release(&self) {
        if self.fence.check().is_err() {
            return;
        }
        self.fence.lower();
        let release = async {
            let mut lease = self.api.get(LEASE).await?;
            let spec = lease.spec.get_or_insert_default();
            if spec.holder_identity.as_deref() == Some(&self.me) {
                spec.holder_identity = None;
                self.api.replace(LEASE, &PostParams::default(), &lease).await?;
            }
            Ok::<_, kube::Error>(())
        };
        if !matches!(tokio::time::timeout(Duration::from_secs(3), release).await, Ok(Ok(()))) {
            tracing::warn!("the Lease could not be given back; it runs out by itself");
        }
    }

    /// Takes or renews the Lease. Writes name the version that was read, so of two only one
    /// succeeds.
    async fn attempt(&mut self) -> Result<bool> {
        let started = Instant::now();
        let Some(mut lease) = self.api.get_opt(LEASE).await.context("reading it")? else {
            let metadata = ObjectMeta { name: Some(LEASE.to_owned()), ..ObjectMeta::default() };
            let lease = Lease { metadata, spec: Some(claim(&self.me, None)) };
            return self.settle(self.api.create(&PostParams::default(), &lease).await, started);
        };
        let spec = lease.spec.get_or_insert_default();
        if !self.observed.free(spec, &self.me, Instant::now()) {
            return Ok(false);
        }
        *spec = claim(&self.me, Some(spec));
        let result = self.api.replace(LEASE, &PostParams::default(), &lease).await;
        self.settle(result, started)
    }

    fn settle(&self, result: kube::Result<Lease>, started: Instant) -> Result<bool> {
        match result {
            Ok(_) => {
                self.fence.renewed(started);
                Ok(true)
            }
            // Another was faster; the next look tells who.
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(self.fence.check().is_ok()),
            Err(error) => Err(error).context("writing it"),
        }
    }
}

fn claim(me: &str, before: Option<&LeaseSpec>) -> LeaseSpec {
    let now = Some(MicroTime(Timestamp::now()));
    let ours = before.filter(|spec| spec.holder_identity.as_deref() == Some(me));
    LeaseSpec {
        holder_identity: Some(me.to_owned()),
        lease_duration_seconds: i32::try_from(DURATION.as_secs()).ok(),
        acquire_time: ours.and_then(|spec| spec.acquire_time.clone()).or_else(|| now.clone()),
        renew_time: now,
        lease_transitions: match (ours, before) {
            (Some(spec), _) => spec.lease_transitions,
            (None, Some(spec)) => Some(spec.lease_transitions.unwrap_or(0).saturating_add(1)),
            (None, None) => Some(0),
        },
        ..LeaseSpec::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held_by(holder: &str, second: i64) -> LeaseSpec {
        LeaseSpec {
            holder_identity: Some(holder.into()),
            lease_duration_seconds: Some(15),
            renew_time: Some(MicroTime(Timestamp::from_second(second).unwrap())),
            ..LeaseSpec::default()
        }
    }

    #[test]
    fn a_lease_is_taken_only_after_it_stood_still_for_its_duration_by_the_own_clock() {
        let mut observed = Observed::default();
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        // The renewal time lies far in the past by the other's clock; that alone says nothing.
        assert!(!observed.free(&held_by("other", 0), "me", at(0)));
        assert!(!observed.free(&held_by("other", 0), "me", at(14)));
        assert!(!observed.free(&held_by("other", 3), "me", at(15)), "renewed meanwhile");
        assert!(!observed.free(&held_by("other", 3), "me", at(29)));
        assert!(observed.free(&held_by("other", 3), "me", at(30)));
    }

    #[test]
    fn the_own_lease_and_one_that_was_given_back_are_free_at_once() {
        let now = Instant::now();
        assert!(Observed::default().free(&held_by("me", 0), "me", now));
        assert!(Observed::default().free(&held_by("", 0), "me", now));
    }

    #[test]
    fn the_fence_falls_before_another_may_take_over() {
        let fence = Fence::default();
        let start = Instant::now();
        assert!(fence.check_at(start).is_err());
        fence.renewed(start);
        assert!(fence.check_at(start + Duration::from_secs(9)).is_ok());
        assert!(fence.check_at(start + DEADLINE).is_err());
        assert!(DEADLINE < DURATION);
        fence.renewed(start);
        fence.lower();
        assert!(fence.check_at(start).is_err());
    }

    #[test]
    fn transitions_count_changes_of_the_holder() {
        let first = claim("a", None);
        assert_eq!(first.lease_transitions, Some(0));
        let renewed = claim("a", Some(&first));
        assert_eq!(
            (renewed.lease_transitions, &renewed.acquire_time),
            (Some(0), &first.acquire_time)
        );
        assert_eq!(claim("b", Some(&renewed)).lease_transitions, Some(1));
    }
}
