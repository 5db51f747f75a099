//! The fence: what keeps a former leader from writing.

use crate::outcome::NotLeader;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};
use tokio::time::Instant;

/// A moment by both clocks. The one that never jumps stands still while the machine is suspended;
/// the other goes on, and may be set.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    steady: Instant,
    wall: SystemTime,
}

impl Moment {
    pub(crate) fn now() -> Self {
        Self { steady: Instant::now(), wall: SystemTime::now() }
    }

    /// What has surely not passed less since `earlier`, by either clock. One that was set forward
    /// closes the fence until the next renewal, which harms nothing; one that was set back says
    /// nothing.
    fn since(self, earlier: Self) -> Duration {
        let wall = self.wall.duration_since(earlier.wall).unwrap_or_default();
        self.steady.saturating_duration_since(earlier.steady).max(wall)
    }
}

/// Until when this process surely leads.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fence(Arc<RwLock<Option<(Moment, Duration)>>>);

impl Fence {
    /// Call it before work that only the leader does. Each write is checked once more as it is
    /// sent, and ends before the fence does.
    pub(crate) fn check(&self) -> Result<(), NotLeader> {
        self.remaining().map(drop)
    }

    /// For how long this process surely leads.
    pub(crate) fn remaining(&self) -> Result<Duration, NotLeader> {
        self.remaining_at(Moment::now())
    }

    fn remaining_at(&self, now: Moment) -> Result<Duration, NotLeader> {
        let opened = *self.0.read().unwrap_or_else(PoisonError::into_inner);
        let left = opened.map(|(since, length)| length.saturating_sub(now.since(since)));
        left.filter(|left| !left.is_zero()).ok_or(NotLeader)
    }

    /// Allows writes for so long since then.
    pub(crate) fn open_for(&self, length: Duration, since: Moment) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some((since, length));
    }

    /// Allows no more writes.
    pub(crate) fn close(&self) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

#[cfg(test)]
mod tests;
