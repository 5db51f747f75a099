//! Failures in a row, and the waits after them.

use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};
use std::time::Duration;

/// The shortest and the longest wait. Up to as much again is added by chance, so that a fleet does
/// not come back all at once.
const WAITS: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(5));

/// Failures in a row.
#[derive(Debug)]
pub(super) struct Failures {
    count: u32,
    waits: ExponentialBackoff,
}

impl Default for Failures {
    fn default() -> Self {
        let waits = ExponentialBuilder::new().with_min_delay(WAITS.0).with_max_delay(WAITS.1);
        Self { count: 0, waits: waits.with_jitter().without_max_times().build() }
    }
}

impl Failures {
    pub(super) fn count(&self) -> u32 {
        self.count
    }

    pub(super) fn add(&mut self) {
        self.count = self.count.saturating_add(1);
    }

    /// The wait before the next attempt; `None` if the last attempt was no failure.
    pub(super) fn next_wait(&mut self) -> Option<Duration> {
        if self.count == 0 { None } else { self.waits.next() }
    }

    /// Whether the next failure is to be logged: the first one, and then ever fewer.
    pub(super) fn should_log(&self) -> bool {
        self.count == 0 || self.count.is_power_of_two()
    }
}
