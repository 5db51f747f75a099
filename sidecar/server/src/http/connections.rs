//! A bounded number of connections. When all slots are taken, a connection that waits for its
//! client gives way to a new one; a connection that is being answered never does.

use super::notify::NotifyAtEnd;
use axum::body::Body;
use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::Body as HttpBody;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio_util::sync::CancellationToken;

/// What a connection is doing. Those that come first here give way first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    /// It has never sent a complete request.
    New,
    /// It has sent requests before, and is waiting or sending the next one.
    Idle,
    /// Its request is being answered.
    Answering,
}

/// Limits the connections of one socket.
#[derive(Clone, Debug)]
pub(super) struct ConnectionLimiter {
    limit: usize,
    slots: Arc<Mutex<Slots>>,
}

#[derive(Debug, Default)]
struct Slots {
    next_id: u64,
    taken: BTreeMap<u64, Slot>,
}

#[derive(Debug)]
struct Slot {
    phase: Phase,
    evict: CancellationToken,
}

/// Holds a slot for as long as the connection lasts.
#[derive(Debug)]
pub(super) struct ConnectionGuard {
    limiter: ConnectionLimiter,
    id: u64,
    evict: CancellationToken,
}

impl ConnectionLimiter {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit: limit.max(1), slots: Arc::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Slots> {
        // The slots are valid after each statement, so a panic leaves nothing broken.
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A slot for a new connection. If all are taken, the oldest connection that waits for its
    /// client is evicted; if all are being answered, there is no slot.
    pub(super) fn admit(&self) -> Option<ConnectionGuard> {
        let mut slots = self.lock();
        if slots.taken.len() >= self.limit {
            let waiting = slots.taken.iter().filter(|(_, slot)| slot.phase != Phase::Answering);
            let id = *waiting.min_by_key(|(id, slot)| (slot.phase, **id))?.0;
            slots.taken.remove(&id)?.evict.cancel();
        }
        let id = slots.next_id;
        slots.next_id += 1;
        let evict = CancellationToken::new();
        slots.taken.insert(id, Slot { phase: Phase::New, evict: evict.clone() });
        drop(slots);
        Some(ConnectionGuard { limiter: self.clone(), id, evict })
    }
}

impl ConnectionGuard {
    fn enter(&self, phase: Phase) {
        if let Some(slot) = self.limiter.lock().taken.get_mut(&self.id) {
            slot.phase = phase;
        }
    }

    /// Resolves when another connection has taken the slot.
    pub(super) async fn evicted(&self) {
        self.evict.cancelled().await;
    }

    /// Wraps a request's body: once it has been read to its end, the connection no longer gives
    /// way.
    pub(super) fn track_request<B>(
        self: Arc<Self>,
        body: B,
    ) -> impl HttpBody<Data = Bytes, Error = B::Error>
    where
        B: HttpBody<Data = Bytes> + Unpin,
    {
        NotifyAtEnd::new(body, move || self.enter(Phase::Answering))
    }

    /// Wraps a response's body: once it has been sent or dropped, the connection may give way
    /// again.
    pub(super) fn track_response(self: Arc<Self>, body: Body) -> Body {
        self.enter(Phase::Answering);
        let idle = IdleOnDrop(self);
        Body::new(body.map_frame(move |frame| {
            // The closure owns it, and is dropped with the body.
            let _ = &idle;
            frame
        }))
    }
}

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        self.limiter.lock().taken.remove(&self.id);
    }
}

struct IdleOnDrop(Arc<ConnectionGuard>);

impl Drop for IdleOnDrop {
    fn drop(&mut self) {
        self.0.enter(Phase::Idle);
    }
}

#[cfg(test)]
mod tests;
