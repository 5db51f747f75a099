//! The work queue. One worker at a time works on a key, as soon as it is due. A key whose work
//! fails is retried with backoff.

use backon::{BackoffBuilder, ExponentialBuilder};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

const BACKOFF: ExponentialBuilder = ExponentialBuilder::new()
    .with_min_delay(Duration::from_millis(200))
    .with_max_delay(Duration::from_secs(60))
    .without_max_times();

type Backoff = <ExponentialBuilder as BackoffBuilder>::Backoff;

#[derive(Debug)]
pub(crate) struct Queue<K> {
    inner: Mutex<Inner<K>>,
    wake: Notify,
}

/// When a key is due. Ties go to the key that came first.
type Slot = (Instant, u64);

#[derive(Debug)]
struct Inner<K> {
    due: BTreeMap<Slot, K>,
    slots: HashMap<K, Slot>,
    running: HashSet<K>,
    /// Of keys whose last work failed.
    backoffs: HashMap<K, Backoff>,
    arrivals: u64,
}

impl<K: Clone + Eq + Hash> Queue<K> {
    pub(crate) fn new() -> Self {
        let inner = Inner {
            due: BTreeMap::new(),
            slots: HashMap::new(),
            running: HashSet::new(),
            backoffs: HashMap::new(),
            arrivals: 0,
        };
        Self { inner: Mutex::new(inner), wake: Notify::new() }
    }

    /// Makes a key due now. One that is being worked on will be worked on once more.
    pub(crate) fn push(&self, key: K) {
        self.push_at(key, Instant::now());
    }

    /// Makes a key due at `time`, unless it is due sooner already.
    pub(crate) fn push_at(&self, key: K, time: Instant) {
        let mut inner = self.lock();
        if let Some(known) = inner.slots.get(&key).copied() {
            if known.0 <= time {
                return;
            }
            inner.due.remove(&known);
        }
        inner.arrivals += 1;
        let slot = (time, inner.arrivals);
        inner.due.insert(slot, key.clone());
        inner.slots.insert(key, slot);
        drop(inner);
        self.wake.notify_one();
    }

    /// Waits for a key that is due. Call [`Self::done`] or [`Self::failed`] when the work on it
    /// ends.
    pub(crate) async fn next(&self) -> K {
        loop {
            let next_due = match self.pop_due(Instant::now()) {
                Ok(key) => return key,
                Err(next_due) => next_due,
            };
            tokio::select! {
                () = self.wake.notified() => {}
                () = tokio::time::sleep_until(next_due) => {}
            }
        }
    }

    /// A key that is due, or when to try again.
    fn pop_due(&self, now: Instant) -> Result<K, Instant> {
        let mut inner = self.lock();
        let slot =
            inner.due.iter().find(|(_, key)| !inner.running.contains(*key)).map(|(slot, _)| *slot);
        let Some(slot) = slot else { return Err(now + Duration::from_secs(3600)) };
        if slot.0 > now {
            return Err(slot.0);
        }
        let key = inner.due.remove(&slot).ok_or(now)?;
        inner.slots.remove(&key);
        inner.running.insert(key.clone());
        drop(inner);
        // There may be another due key, for another worker.
        self.wake.notify_one();
        Ok(key)
    }

    /// For how long the key that is due first has been waiting for a worker.
    pub(crate) fn longest_wait(&self) -> Option<Duration> {
        let inner = self.lock();
        let first = inner.due.iter().find(|(_, key)| !inner.running.contains(*key));
        first.map(|(slot, _)| slot.0.elapsed()).filter(|wait| !wait.is_zero())
    }

    /// The work on a key succeeded.
    pub(crate) fn done(&self, key: &K, requeue_after: Option<Duration>) {
        let mut inner = self.lock();
        inner.running.remove(key);
        inner.backoffs.remove(key);
        drop(inner);
        self.wake.notify_one();
        if let Some(wait) = requeue_after {
            self.push_at(key.clone(), Instant::now() + wait);
        }
    }

    /// The work on a key failed. Returns after how long it is retried.
    pub(crate) fn failed(&self, key: &K) -> Duration {
        let mut inner = self.lock();
        inner.running.remove(key);
        let backoff = inner.backoffs.entry(key.clone()).or_insert_with(|| BACKOFF.build());
        // The backoff has no end.
        let wait = backoff.next().unwrap_or(Duration::from_secs(60));
        drop(inner);
        self.push_at(key.clone(), Instant::now() + wait);
        wait
    }

    fn lock(&self) -> MutexGuard<'_, Inner<K>> {
        // Each method leaves the maps consistent before it can panic.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
