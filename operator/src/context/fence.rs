//! The fence: what keeps a former leader from writing.

use crate::outcome::NotLeader;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tokio::time::Instant;

/// Until when this process surely leads.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fence(Arc<RwLock<Option<Instant>>>);

impl Fence {
    /// Call it before work that only the leader does. Each write is checked once more as it is
    /// sent, and ends before the fence does.
    pub(crate) fn check(&self) -> Result<(), NotLeader> {
        self.remaining().map(drop)
    }

    /// For how long this process surely leads.
    pub(crate) fn remaining(&self) -> Result<Duration, NotLeader> {
        let until = *self.0.read().unwrap_or_else(PoisonError::into_inner);
        let left = until.map(|until| until.saturating_duration_since(Instant::now()));
        left.filter(|left| !left.is_zero()).ok_or(NotLeader)
    }

    /// Allows writes until then.
    pub(crate) fn open_until(&self, until: Instant) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(until);
    }

    /// Allows no more writes.
    pub(crate) fn close(&self) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = None;
    }
}
