//! The fence: what keeps a former leader from writing.

use crate::outcome::NotLeader;
use std::sync::{Arc, PoisonError, RwLock};
use tokio::time::Instant;

/// Until when this process surely leads.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fence(Arc<RwLock<Option<Instant>>>);

impl Fence {
    /// Call it before each write.
    pub(crate) fn check(&self) -> Result<(), NotLeader> {
        self.check_at(Instant::now())
    }

    pub(crate) fn check_at(&self, now: Instant) -> Result<(), NotLeader> {
        let until = *self.0.read().unwrap_or_else(PoisonError::into_inner);
        if until.is_some_and(|until| now < until) { Ok(()) } else { Err(NotLeader) }
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
