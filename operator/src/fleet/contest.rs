//! Pushes of a process that is not believed.

use std::time::Duration;
use tokio::time::Instant;

/// From when on it is a contest: a process that was started anew is not believed for some seconds,
/// until the API server says that it was.
const LASTING: Duration = Duration::from_secs(30);
/// How long after the last such push it is over.
const OVER: Duration = Duration::from_secs(95);

/// Pushes of a process that is not believed: the first of a series, and the last.
#[derive(Debug, Default)]
pub(super) struct Contest(Option<(Instant, Instant)>);

impl Contest {
    pub(super) fn add(&mut self, now: Instant) {
        let current = self.0.filter(|(_, last)| now.duration_since(*last) < OVER);
        self.0 = Some((current.map_or(now, |(first, _)| first), now));
    }

    pub(super) fn lasts(&self) -> bool {
        self.0.is_some_and(|(first, last)| {
            last.duration_since(first) >= LASTING && last.elapsed() < OVER
        })
    }
}
