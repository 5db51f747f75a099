//! When to try again to load weights.

use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

/// Waits between attempts: the shortest and the longest.
const WAITS: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(300));

/// When to try again: after a while, or as soon as the weight file changes.
#[derive(Debug)]
pub(super) struct Retry {
    waits: ExponentialBackoff,
    at: Instant,
    weights: Option<Stamp>,
}

/// Length and time of change of a file.
type Stamp = (u64, SystemTime);

impl Default for Retry {
    fn default() -> Self {
        let waits = ExponentialBuilder::new().with_min_delay(WAITS.0).with_max_delay(WAITS.1);
        Self { waits: waits.without_max_times().build(), at: Instant::now(), weights: None }
    }
}

impl Retry {
    /// An attempt with this weight file failed.
    pub(super) fn fail(&mut self, weights: &Path) {
        self.at = Instant::now() + self.waits.next().unwrap_or(WAITS.1);
        self.weights = stamp(weights);
    }

    pub(super) fn is_due(&self, weights: &Path) -> bool {
        Instant::now() >= self.at || stamp(weights) != self.weights
    }
}

fn stamp(file: &Path) -> Option<Stamp> {
    let metadata = std::fs::metadata(file).ok()?;
    Some((metadata.len(), metadata.modified().ok()?))
}
