//! One budget of memory for all bodies that are held at the same time. Where it is used up, the
//! bodies that have been on their way for longest give way to those that arrive: whoever sends half
//! a body and waits holds memory only for as long as nobody else needs it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio_util::sync::CancellationToken;

/// A budget for the bodies of one process, which is made once and never given back.
#[derive(Clone, Copy)]
pub struct BodyBudget(&'static Budget);

struct Budget {
    limit: usize,
    bodies: Mutex<Bodies>,
}

#[derive(Default)]
struct Bodies {
    /// Bytes of all of them.
    used: usize,
    next_id: u64,
    /// Those that are on their way. Their bytes are here, so that they can be freed at once.
    arriving: BTreeMap<u64, Arriving>,
}

struct Arriving {
    bytes: Vec<u8>,
    evict: CancellationToken,
}

/// A body that is on its way. Dropping it gives its memory back.
#[derive(Debug)]
pub struct ArrivingBody {
    budget: BodyBudget,
    id: u64,
    evicted: CancellationToken,
}

/// The memory of something that is held and does not give way. Dropping it gives the memory back.
#[derive(Debug)]
pub struct BodyGuard {
    budget: BodyBudget,
    bytes: usize,
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
    /// A budget of so many bytes.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self(Box::leak(Box::new(Budget { limit, bodies: Mutex::default() })))
    }

    /// The most bytes that all bodies take together.
    #[must_use]
    pub fn limit(self) -> usize {
        self.0.limit
    }

    /// The bytes that they take now.
    #[must_use]
    pub fn used(self) -> usize {
        self.lock().used
    }

    /// For a body that is about to arrive.
    #[must_use]
    pub fn arrival(self) -> ArrivingBody {
        let evicted = CancellationToken::new();
        let mut bodies = self.lock();
        let id = bodies.next_id;
        bodies.next_id += 1;
        bodies.arriving.insert(id, Arriving { bytes: Vec::new(), evict: evicted.clone() });
        ArrivingBody { budget: self, id, evicted }
    }

    /// For what is held otherwise, a response of another server for example. It takes nothing yet.
    #[must_use]
    pub fn guard(self) -> BodyGuard {
        BodyGuard { budget: self, bytes: 0 }
    }

    fn lock(self) -> MutexGuard<'static, Bodies> {
        // The bodies are valid after each statement.
        self.0.bodies.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Bodies {
    /// Takes memory, of those that arrive before where there is no other; not of the body `own`.
    fn take(&mut self, limit: usize, own: Option<u64>, bytes: usize) -> Result<(), NoRoom> {
        // As nearly always: nobody has to give way.
        if self.used.saturating_add(bytes) <= limit {
            self.used += bytes;
            return Ok(());
        }
        let others = self.arriving.iter().filter(|(id, _)| Some(**id) != own);
        let evictable: usize = others.map(|(_, body)| body.bytes.capacity()).sum();
        if (self.used - evictable).saturating_add(bytes) > limit {
            return Err(NoRoom);
        }
        while self.used + bytes > limit {
            let mut others = self.arriving.iter();
            let oldest = others.find(|(id, body)| Some(**id) != own && body.bytes.capacity() > 0);
            let oldest = oldest.map(|(id, _)| *id).ok_or(NoRoom)?;
            if let Some(body) = self.arriving.remove(&oldest) {
                self.used -= body.bytes.capacity();
                body.evict.cancel();
            }
        }
        self.used += bytes;
        Ok(())
    }
}

impl ArrivingBody {
    /// Adds a piece.
    ///
    /// # Errors
    /// If there is no memory for it, or the body had to give way.
    pub fn push(&mut self, piece: &[u8]) -> Result<(), NoRoom> {
        let mut bodies = self.budget.lock();
        let held = bodies.arriving.get(&self.id).ok_or(NoRoom)?;
        let (length, capacity) = (held.bytes.len() + piece.len(), held.bytes.capacity());
        // Doubled, so that pieces of any size are copied a few times only.
        let wanted = if length > capacity { length.max(2 * capacity) } else { capacity };
        bodies.take(self.budget.0.limit, Some(self.id), wanted - capacity)?;
        let held = bodies.arriving.get_mut(&self.id).ok_or(NoRoom)?;
        held.bytes.reserve_exact(wanted - held.bytes.len());
        held.bytes.extend_from_slice(piece);
        // The allocator may have given more than was asked for.
        let more = held.bytes.capacity() - wanted;
        bodies.used += more;
        Ok(())
    }

    /// Bytes that have arrived; none of a body that gave way.
    #[must_use]
    pub fn length(&self) -> usize {
        self.budget.lock().arriving.get(&self.id).map_or(0, |body| body.bytes.len())
    }

    /// Resolves when the body had to give way.
    pub async fn evicted(&self) {
        self.evicted.cancelled().await;
    }

    /// The body is complete: it no longer gives way.
    ///
    /// # Errors
    /// If it had to before.
    pub fn finish(self) -> Result<(Vec<u8>, BodyGuard), NoRoom> {
        let mut bodies = self.budget.lock();
        let mut bytes = bodies.arriving.remove(&self.id).ok_or(NoRoom)?.bytes;
        bodies.used -= bytes.capacity();
        bytes.shrink_to_fit();
        bodies.used += bytes.capacity();
        let guard = BodyGuard { budget: self.budget, bytes: bytes.capacity() };
        drop(bodies);
        Ok((bytes, guard))
    }
}

impl Drop for ArrivingBody {
    fn drop(&mut self) {
        let mut bodies = self.budget.lock();
        if let Some(body) = bodies.arriving.remove(&self.id) {
            bodies.used -= body.bytes.capacity();
        }
    }
}

impl BodyGuard {
    /// Takes memory for so many bytes more.
    ///
    /// # Errors
    /// If there is none.
    pub fn grow(&mut self, bytes: usize) -> Result<(), NoRoom> {
        self.budget.lock().take(self.budget.0.limit, None, bytes)?;
        self.bytes += bytes;
        Ok(())
    }

    /// Holds memory for so many bytes in all. Where there is not enough, what it held stays.
    ///
    /// # Errors
    /// If there is not enough.
    pub fn hold(&mut self, bytes: usize) -> Result<(), NoRoom> {
        match bytes.checked_sub(self.bytes) {
            Some(0) => Ok(()),
            Some(more) => self.grow(more),
            None => {
                self.shrink(self.bytes - bytes);
                Ok(())
            }
        }
    }

    /// Gives back the memory of so many bytes.
    pub fn shrink(&mut self, bytes: usize) {
        let bytes = bytes.min(self.bytes);
        self.bytes -= bytes;
        self.budget.lock().used -= bytes;
    }

    /// Bytes that it holds.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for BodyGuard {
    fn drop(&mut self) {
        self.budget.lock().used -= self.bytes;
    }
}

#[cfg(test)]
mod tests;
