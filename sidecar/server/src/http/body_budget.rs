//! One budget of memory for all bodies that are held at the same time. Where it is used up, the
//! bodies that have been on their way for longest give way to those that arrive: whoever sends half
//! a body and waits holds memory only for as long as nobody else needs it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio_util::sync::CancellationToken;

/// How long a body waits for memory that others are about to give back.
const WAIT: Duration = Duration::from_secs(1);

/// A budget for the bodies of one process, which is made once and never given back.
#[derive(Clone, Copy)]
pub struct BodyBudget(&'static Budget);

struct Budget {
    limit: usize,
    /// Bytes, given out in the order in which they were asked for.
    bytes: Semaphore,
    bodies: Mutex<Bodies>,
}

#[derive(Default)]
struct Bodies {
    next_id: u64,
    /// Those that are on their way.
    arriving: BTreeMap<u64, Arriving>,
}

struct Arriving {
    bytes: usize,
    evict: CancellationToken,
}

/// The memory of one body. Dropping it gives the memory back.
#[derive(Debug)]
pub struct BodyGuard {
    budget: BodyBudget,
    id: u64,
    /// None before the first byte.
    permit: Option<SemaphorePermit<'static>>,
    evicted: CancellationToken,
}

/// There is no memory left for a body, or another one took it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many bodies are held at once")]
pub struct NoRoom;

impl fmt::Debug for BodyBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut told = f.debug_struct("BodyBudget");
        told.field("limit", &self.0.limit).field("used", &self.used()).finish()
    }
}

impl BodyBudget {
    /// A budget of so many bytes, at most 4 GiB.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        let limit = limit.min(u32::MAX as usize).min(Semaphore::MAX_PERMITS);
        let (bytes, bodies) = (Semaphore::new(limit), Mutex::default());
        Self(Box::leak(Box::new(Budget { limit, bytes, bodies })))
    }

    /// The most bytes that all bodies take together.
    #[must_use]
    pub fn limit(self) -> usize {
        self.0.limit
    }

    /// The bytes that they take now.
    #[must_use]
    pub fn used(self) -> usize {
        self.0.limit - self.0.bytes.available_permits()
    }

    /// For a body that is on its way.
    #[must_use]
    pub fn guard(self) -> BodyGuard {
        let evicted = CancellationToken::new();
        let mut bodies = self.lock();
        let id = bodies.next_id;
        bodies.next_id += 1;
        bodies.arriving.insert(id, Arriving { bytes: 0, evict: evicted.clone() });
        drop(bodies);
        BodyGuard { budget: self, id, permit: None, evicted }
    }

    fn lock(self) -> MutexGuard<'static, Bodies> {
        // The bodies are valid after each statement.
        self.0.bodies.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the oldest of the others to give way, until they hold so many bytes.
    fn make_room(self, id: u64, mut bytes: usize) {
        let mut bodies = self.lock();
        while bytes > 0 {
            let mut others = bodies.arriving.iter();
            let oldest = others.find(|(other, body)| **other != id && body.bytes > 0);
            let Some(oldest) = oldest.map(|(oldest, _)| *oldest) else { return };
            if let Some(body) = bodies.arriving.remove(&oldest) {
                bytes = bytes.saturating_sub(body.bytes);
                body.evict.cancel();
            }
        }
    }
}

impl BodyGuard {
    /// Takes memory for so many bytes more.
    ///
    /// # Errors
    /// If there is none, or the body was told to give way.
    pub async fn grow(&mut self, bytes: usize) -> Result<(), NoRoom> {
        if bytes > self.budget.0.limit || self.evicted.is_cancelled() {
            return Err(NoRoom);
        }
        if self.try_grow(bytes) {
            return Ok(());
        }
        self.budget.make_room(self.id, bytes);
        let more = self.budget.0.bytes.acquire_many(u32::try_from(bytes).map_err(|_| NoRoom)?);
        tokio::select! {
            () = self.evicted.cancelled() => Err(NoRoom),
            more = tokio::time::timeout(WAIT, more) => match more {
                Ok(Ok(more)) => {
                    self.add(more);
                    Ok(())
                }
                // The semaphore is never closed.
                Ok(Err(_)) | Err(_) => Err(NoRoom),
            },
        }
    }

    /// The same if there is memory at once.
    fn try_grow(&mut self, bytes: usize) -> bool {
        let Ok(bytes) = u32::try_from(bytes) else { return false };
        let Ok(more) = self.budget.0.bytes.try_acquire_many(bytes) else { return false };
        self.add(more);
        true
    }

    fn add(&mut self, more: SemaphorePermit<'static>) {
        match &mut self.permit {
            Some(permit) => permit.merge(more),
            None => self.permit = Some(more),
        }
        self.note();
    }

    /// Bytes that it holds.
    fn bytes(&self) -> usize {
        self.permit.as_ref().map_or(0, SemaphorePermit::num_permits)
    }

    /// Gives back the memory of so many bytes.
    pub fn shrink(&mut self, bytes: usize) {
        let bytes = bytes.min(self.bytes());
        drop(self.permit.as_mut().and_then(|permit| permit.split(bytes)));
        self.note();
    }

    /// Resolves when another body needs the memory.
    pub async fn evicted(&self) {
        self.evicted.cancelled().await;
    }

    /// The body is complete, or its sender is not at fault: it no longer gives way. False if it was
    /// told to before.
    #[allow(clippy::must_use_candidate, reason = "not everybody can be told to give way before")]
    pub fn keep(&self) -> bool {
        self.budget.lock().arriving.remove(&self.id).is_some()
    }

    fn note(&self) {
        if let Some(body) = self.budget.lock().arriving.get_mut(&self.id) {
            body.bytes = self.bytes();
        }
    }
}

impl Drop for BodyGuard {
    fn drop(&mut self) {
        self.budget.lock().arriving.remove(&self.id);
    }
}

#[cfg(test)]
mod tests;
