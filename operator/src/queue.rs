//! A work queue: each key is worked on by one worker at a time, as soon as it is due, and backs off
//! when it fails.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// Waits after failures of one key: the first, doubled each time, and the longest.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(60));

#[derive(Debug)]
pub(crate) struct Queue<K> {
    inner: Mutex<Inner<K>>,
    wake: Notify,
}

#[derive(Debug)]
struct Inner<K> {
    /// By time, then in order of arrival.
    due: BTreeMap<(Instant, u64), K>,
    times: HashMap<K, (Instant, u64)>,
    running: HashSet<K>,
    failures: HashMap<K, u32>,
    arrivals: u64,
}

impl<K: Clone + Eq + Hash> Queue<K> {
    pub(crate) fn new() -> Self {
        let inner = Inner {
            due: BTreeMap::new(),
            times: HashMap::new(),
            running: HashSet::new(),
            failures: HashMap::new(),
            arrivals: 0,
        };
        Self { inner: Mutex::new(inner), wake: Notify::new() }
    }

    /// To be worked on now; once more if it is being worked on.
    pub(crate) fn push(&self, key: K) {
        self.push_at(key, Instant::now());
    }

    /// To be worked on at `time`, or sooner where it is due sooner already.
    pub(crate) fn push_at(&self, key: K, time: Instant) {
        let mut inner = self.lock();
        if let Some(known) = inner.times.get(&key).copied() {
            if known.0 <= time {
                return;
            }
            inner.due.remove(&known);
        }
        inner.arrivals += 1;
        let slot = (time, inner.arrivals);
        inner.due.insert(slot, key.clone());
        inner.times.insert(key, slot);
        drop(inner);
        self.wake.notify_one();
    }

    /// Waits for a key that is due. [`Self::done`] must follow.
    pub(crate) async fn next(&self) -> K {
        loop {
            let wait = match self.take(Instant::now()) {
                Ok(key) => return key,
                Err(wait) => wait,
            };
            tokio::select! {
                () = self.wake.notified() => {}
                () = tokio::time::sleep_until(wait) => {}
            }
        }
    }

    /// A key that is due, or when to look again.
    fn take(&self, now: Instant) -> Result<K, Instant> {
        let mut inner = self.lock();
        let slot =
            inner.due.iter().find(|(_, key)| !inner.running.contains(*key)).map(|(slot, _)| *slot);
        let Some(slot) = slot else { return Err(now + Duration::from_secs(3600)) };
        if slot.0 > now {
            return Err(slot.0);
        }
        let key = inner.due.remove(&slot).ok_or(now)?;
        inner.times.remove(&key);
        inner.running.insert(key.clone());
        drop(inner);
        // Another worker may wait for the same bell.
        self.wake.notify_one();
        Ok(key)
    }

    /// The work on a key ended well; `again` where it is due at a later time by itself.
    pub(crate) fn done(&self, key: &K, again: Option<Duration>) {
        let mut inner = self.lock();
        inner.running.remove(key);
        inner.failures.remove(key);
        drop(inner);
        self.wake.notify_one();
        if let Some(again) = again {
            self.push_at(key.clone(), Instant::now() + again);
        }
    }

    /// The work on a key failed; it is tried again after a while, which is returned.
    pub(crate) fn failed(&self, key: &K) -> Duration {
        let mut inner = self.lock();
        inner.running.remove(key);
        let failures = inner.failures.entry(key.clone()).or_insert(0);
        let wait = BACKOFF.0.saturating_mul(1 << (*failures).min(16)).min(BACKOFF.1);
        *failures = failures.saturating_add(1);
        drop(inner);
        self.push_at(key.clone(), Instant::now() + wait);
        wait
    }

    fn lock(&self) -> MutexGuard<'_, Inner<K>> {
        // Each method leaves the maps in agreement before it can panic.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_key_is_worked_on_once_however_often_it_was_pushed_and_never_twice_at_a_time() {
        let queue = Queue::new();
        queue.push("a");
        queue.push("a");
        queue.push("b");
        assert_eq!(queue.next().await, "a");
        queue.push("a");
        assert_eq!(queue.next().await, "b");
        assert!(queue.take(Instant::now()).is_err(), "a is running");
        queue.done(&"a", None);
        assert_eq!(queue.next().await, "a");
        queue.done(&"a", None);
        queue.done(&"b", None);
        assert!(queue.take(Instant::now() + Duration::from_secs(1000)).is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn the_sooner_of_two_times_counts() {
        let queue = Queue::new();
        let start = Instant::now();
        queue.push_at("a", start + Duration::from_secs(60));
        queue.push_at("a", start + Duration::from_secs(5));
        queue.push_at("a", start + Duration::from_secs(30));
        assert_eq!(queue.next().await, "a");
        assert_eq!(start.elapsed().as_secs(), 5);
    }

    #[tokio::test(start_paused = true)]
    async fn each_key_backs_off_by_itself_up_to_a_minute() {
        let queue = Queue::new();
        queue.push("a");
        let mut waits = Vec::new();
        for _ in 0..12 {
            let key = queue.next().await;
            waits.push(queue.failed(&key));
        }
        assert_eq!(waits[0], Duration::from_millis(200));
        assert_eq!(waits[1], Duration::from_millis(400));
        assert_eq!(waits[11], Duration::from_secs(60));
        queue.push("b");
        assert_eq!(queue.next().await, "b");
    }
}
