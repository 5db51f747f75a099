//! The Lease: who may take it, and when. Pure.
//!
//! The holder renews every few seconds. Another operator may take over [`DURATION`] after the last
//! renewal that it saw, by its own clock. The holder stops writing [`DEADLINE`] after the *start*
//! of its last renewal, which comes first by either clock.

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::LeaseSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use std::time::Duration;
use tokio::time::Instant;

/// Name of the Lease, in the operator's namespace.
pub(crate) const LEASE: &str = "personaguard-operator";
/// How long a Lease without renewal is left to its holder.
const DURATION: Duration = Duration::from_secs(15);
/// The longest that is waited for, whatever the Lease says.
const LONGEST: Duration = Duration::from_secs(60);
/// How long after the start of a renewal the holder may write.
pub(super) const DEADLINE: Duration = Duration::from_secs(10);

/// Another operator's Lease, and since when it has not changed by our own clock. The clocks of two
/// nodes may differ.
#[derive(Debug, Default)]
pub(super) struct ObservedLease {
    renewal: Option<(String, Option<Timestamp>)>,
    unchanged_since: Option<Instant>,
}

impl ObservedLease {
    /// Whether `me` may take the Lease.
    pub(super) fn may_take(&mut self, spec: &LeaseSpec, me: &str, now: Instant) -> bool {
        let holder = spec.holder_identity.clone().unwrap_or_default();
        if holder.is_empty() || holder == me {
            return true;
        }
        let renewal = Some((holder, spec.renew_time.as_ref().map(|time| time.0)));
        if self.renewal != renewal {
            self.renewal = renewal;
            self.unchanged_since = Some(now);
        }
        let duration = spec.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
        let duration = duration.map_or(DURATION, Duration::from_secs).clamp(DURATION, LONGEST);
        self.unchanged_since.is_some_and(|since| now - since >= duration)
    }
}

/// The Lease as `me` takes or renews it.
pub(super) fn claim(me: &str, before: Option<&LeaseSpec>) -> LeaseSpec {
    let now = Some(MicroTime(Timestamp::now()));
    let own = before.filter(|spec| spec.holder_identity.as_deref() == Some(me));
    LeaseSpec {
        holder_identity: Some(me.to_owned()),
        lease_duration_seconds: i32::try_from(DURATION.as_secs()).ok(),
        acquire_time: own.and_then(|spec| spec.acquire_time.clone()).or_else(|| now.clone()),
        renew_time: now,
        lease_transitions: match (own, before) {
            (Some(spec), _) => spec.lease_transitions,
            (None, Some(spec)) => Some(spec.lease_transitions.unwrap_or(0).saturating_add(1)),
            (None, None) => Some(0),
        },
        ..LeaseSpec::default()
    }
}

#[cfg(test)]
mod tests;
