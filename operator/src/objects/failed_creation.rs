//! Workloads that cannot create their pods, as the API server's Events tell. Pure.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Event;
use std::collections::BTreeMap;

/// For how long an Event speaks of the present: controllers repeat theirs with growing waits.
const FRESH: SignedDuration = SignedDuration::from_mins(20);
/// Longest part of a message that is repeated.
const MAX_WORDS: usize = 400;

/// A workload that cannot create its pods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FailedCreation {
    /// `ReplicaSet chat-5d4f`.
    pub(crate) workload: String,
    /// Labels that its pods would have.
    pub(crate) labels: BTreeMap<String, String>,
    /// The API server's words.
    pub(crate) why: String,
}

/// A workload that an Event says cannot create its pods, and why.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Refusal {
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) why: String,
}

impl Refusal {
    pub(crate) fn of(event: &Event, now: Timestamp) -> Option<Self> {
        let at = event
            .series
            .as_ref()
            .and_then(|series| series.last_observed_time.as_ref().map(|time| time.0))
            .or_else(|| event.last_timestamp.as_ref().map(|time| time.0))
            .or_else(|| event.event_time.as_ref().map(|time| time.0))
            .or_else(|| event.metadata.creation_timestamp.as_ref().map(|time| time.0))?;
        let stale = now.duration_since(at) > FRESH;
        if stale || event.reason.as_deref() != Some("FailedCreate") {
            return None;
        }
        let object = &event.involved_object;
        let message = event.message.as_deref()?;
        let why = message.strip_prefix("Error creating: ").unwrap_or(message);
        let why: String = why.chars().take(MAX_WORDS).collect();
        Some(Self {
            kind: object.kind.clone()?,
            name: object.name.clone()?,
            why: why.trim_end_matches('.').to_owned(),
        })
    }
}

#[cfg(test)]
mod tests;
