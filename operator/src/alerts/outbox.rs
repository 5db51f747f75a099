//! What one receiver has accepted, and what it is still to get. Pure.
//!
//! An alert is sent when it begins and when it ends, whatever happens to the receiver in between.
//! One that began and ended while the receiver was down is sent once, as ended. If too many alerts
//! wait, the oldest are dropped.

use super::alert::{Alert, Labels};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::time::Duration;

const MAX_ALERTS: usize = 1000;

#[derive(Debug)]
struct Entry {
    alert: Alert,
    /// When the receiver last accepted it as firing.
    accepted: Option<Timestamp>,
}

#[derive(Debug)]
pub(super) struct Outbox {
    entries: BTreeMap<Labels, Entry>,
    /// After how long a firing alert is sent again, if it is.
    repeat_interval: Option<Duration>,
}

/// Alerts to deliver now, oldest first.
#[derive(Debug)]
pub(super) struct Batch(Vec<Alert>);

impl Batch {
    pub(super) fn alerts(&self) -> &[Alert] {
        &self.0
    }
}

impl Outbox {
    pub(super) fn new(repeat_interval: Option<Duration>) -> Self {
        Self { entries: BTreeMap::new(), repeat_interval }
    }

    /// Takes in what is firing now. Returns how many alerts were dropped for lack of room.
    pub(super) fn observe(&mut self, firing: Vec<Alert>, now: Timestamp) -> usize {
        let mut firing: BTreeMap<Labels, Alert> =
            firing.into_iter().map(|alert| (alert.labels.clone(), alert)).collect();
        for (labels, entry) in &mut self.entries {
            match firing.remove(labels) {
                // Even if it ended in between: the receiver has not heard of that.
                Some(alert) => {
                    entry.alert.annotations = alert.annotations;
                    entry.alert.ends_at = None;
                }
                None => {
                    entry.alert.ends_at.get_or_insert(now);
                }
            }
        }
        let new =
            firing.into_iter().map(|(labels, alert)| (labels, Entry { alert, accepted: None }));
        self.entries.extend(new);
        let excess = self.entries.len().saturating_sub(MAX_ALERTS);
        for _ in 0..excess {
            self.drop_oldest();
        }
        excess
    }

    fn drop_oldest(&mut self) {
        let oldest = self.entries.iter().min_by_key(|(_, entry)| entry.alert.starts_at);
        let oldest = oldest.map(|(labels, _)| labels.clone());
        oldest.and_then(|labels| self.entries.remove(&labels));
    }

    pub(super) fn due(&self, now: Timestamp) -> Batch {
        let due =
            self.entries.values().filter(|entry| match (entry.accepted, entry.alert.ends_at) {
                (None, _) | (Some(_), Some(_)) => true,
                (Some(accepted), None) => self.repeat_interval.is_some_and(|interval| {
                    let passed = Duration::try_from(now.duration_since(accepted));
                    passed.is_ok_and(|passed| passed >= interval)
                }),
            });
        let mut due: Vec<Alert> = due.map(|entry| entry.alert.clone()).collect();
        due.sort_by_key(|alert| alert.starts_at);
        Batch(due)
    }

    /// The receiver accepted the first `accepted` alerts of a batch.
    pub(super) fn delivered(&mut self, batch: &Batch, accepted: usize, now: Timestamp) {
        for alert in batch.0.iter().take(accepted) {
            if alert.ends_at.is_some() {
                self.entries.remove(&alert.labels);
            } else if let Some(entry) = self.entries.get_mut(&alert.labels) {
                entry.accepted = Some(now);
            }
        }
    }
}

#[cfg(test)]
mod tests;
