//! How many connections there were of late.

use super::table::{Ends, Foreign};
use personaguard_wire::Connections;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// A connection that is seen so often in a row counts. What is shorter may be a probe.
const SIGHTINGS: u32 = 3;
/// For how long it counts after it was last seen.
const WINDOW: Duration = Duration::from_secs(600);
/// Connections that are counted one by one; the number says no more beyond it.
const MAX_COUNTED: usize = 1000;

/// Connections of the pod that did not pass the sidecar, over the last ten minutes.
#[derive(Debug, Default)]
pub struct ConnectionCounts(Mutex<[Kind; 2]>);

#[derive(Debug, Default)]
struct Kind {
    /// Those that are open, and how often they were seen.
    open: BTreeMap<Ends, u32>,
    /// When those that count were last seen, the oldest first.
    ended: VecDeque<Instant>,
}

impl ConnectionCounts {
    /// Takes what is open now. Returns whether a count rose from zero.
    pub(super) fn observe(&self, foreign: &Foreign, now: Instant) -> bool {
        let mut kinds = self.lock();
        let before = kinds.each_ref().map(Kind::count);
        let [app, past_sidecar] = &mut *kinds;
        app.observe(foreign.app.iter(), now);
        past_sidecar.observe(foreign.past_sidecar.iter(), now);
        let after = kinds.each_ref().map(Kind::count);
        before.iter().zip(after).any(|(before, after)| *before == 0 && after > 0)
    }

    /// Requests reached the app past the sidecar, as the app itself has seen. Returns whether the
    /// count rose from zero.
    pub(crate) fn passed_by(&self, requests: u64) -> bool {
        let mut kinds = self.lock();
        let [_, past_sidecar] = &mut *kinds;
        let before = past_sidecar.count();
        let requests = usize::try_from(requests).unwrap_or(usize::MAX).min(MAX_COUNTED);
        past_sidecar.ended.extend(std::iter::repeat_n(Instant::now(), requests));
        let excess = past_sidecar.ended.len().saturating_sub(MAX_COUNTED);
        past_sidecar.ended.drain(..excess);
        before == 0 && requests > 0
    }

    /// The counts for a report.
    pub(crate) fn read(&self) -> Connections {
        let [app, past_sidecar] = self.lock().each_ref().map(Kind::count);
        Connections { app, past_sidecar }
    }

    fn lock(&self) -> MutexGuard<'_, [Kind; 2]> {
        // Each method leaves the counts valid after each statement.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kind {
    fn observe<'a>(&mut self, seen: impl Iterator<Item = &'a Ends>, now: Instant) {
        let mut open = BTreeMap::new();
        for ends in seen.take(MAX_COUNTED) {
            let sightings = self.open.remove(ends).unwrap_or(0) + 1;
            open.insert(*ends, sightings);
        }
        let gone = std::mem::replace(&mut self.open, open).into_values();
        self.ended.extend(gone.filter(|sightings| *sightings >= SIGHTINGS).map(|_| now));
        let old = |at: &Instant| now.duration_since(*at) > WINDOW;
        while self.ended.len() > MAX_COUNTED || self.ended.front().is_some_and(old) {
            self.ended.pop_front();
        }
    }

    fn count(&self) -> u64 {
        let lasting = self.open.values().filter(|sightings| **sightings >= SIGHTINGS).count();
        (lasting + self.ended.len()) as u64
    }
}

#[cfg(test)]
mod tests;
