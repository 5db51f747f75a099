//! The connections of a socket: a bounded number, in which those that keep others out give way.

use axum::body::Body;
use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use tokio_util::sync::CancellationToken;

/// What a connection is about, the first to give way first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    /// It has never sent a whole request.
    New,
    /// It sent requests before, and waits or sends the next.
    Idle,
    /// Its request is being answered: it never gives way.
    Answered,
}

/// The connections of one socket.
#[derive(Clone, Debug)]
pub(super) struct Crowd {
    limit: usize,
    seats: Arc<Mutex<Seats>>,
}

#[derive(Debug, Default)]
struct Seats {
    next: u64,
    taken: BTreeMap<u64, Seat>,
}

#[derive(Debug)]
struct Seat {
    phase: Phase,
    evict: CancellationToken,
}

/// One connection, as long as it lasts.
#[derive(Debug)]
pub(super) struct Member {
    crowd: Crowd,
    id: u64,
    evict: CancellationToken,
}

impl Crowd {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit: limit.max(1), seats: Arc::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Seats> {
        // Each section leaves the seats valid after each statement.
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for a new connection; the oldest of those that wait for their clients loses its own
    /// where all are taken. None where all are being answered.
    pub(super) fn admit(&self) -> Option<Member> {
        let mut seats = self.lock();
        if seats.taken.len() >= self.limit {
            let waiting = seats.taken.iter().filter(|(_, seat)| seat.phase != Phase::Answered);
            let id = *waiting.min_by_key(|(id, seat)| (seat.phase, **id))?.0;
            seats.taken.remove(&id)?.evict.cancel();
        }
        let id = seats.next;
        seats.next += 1;
        let evict = CancellationToken::new();
        seats.taken.insert(id, Seat { phase: Phase::New, evict: evict.clone() });
        drop(seats);
        Some(Member { crowd: self.clone(), id, evict })
    }
}

impl Member {
    fn phase(&self, phase: Phase) {
        if let Some(seat) = self.crowd.lock().taken.get_mut(&self.id) {
            seat.phase = phase;
        }
    }

    /// Resolves when another connection took the place.
    pub(super) async fn evicted(&self) {
        self.evict.cancelled().await;
    }

    /// A request's body: once it was read to its end, the connection no longer gives way.
    pub(super) fn reading<B: HttpBody>(self: Arc<Self>, body: B) -> Reading<B> {
        if body.is_end_stream() {
            self.phase(Phase::Answered);
        }
        Reading { body, member: self }
    }

    /// An answer's body: when it was sent, or dropped, the connection gives way again.
    pub(super) fn answering(self: Arc<Self>, body: Body) -> Body {
        self.phase(Phase::Answered);
        let sent = Sent(self);
        Body::new(body.map_frame(move |frame| {
            let _ = &sent;
            frame
        }))
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.crowd.lock().taken.remove(&self.id);
    }
}

struct Sent(Arc<Member>);

impl Drop for Sent {
    fn drop(&mut self) {
        self.0.phase(Phase::Idle);
    }
}

/// See [`Member::reading`].
pub(super) struct Reading<B> {
    body: B,
    member: Arc<Member>,
}

impl<B: HttpBody<Data = Bytes> + Unpin> HttpBody for Reading<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        if matches!(frame, Poll::Ready(None)) || (frame.is_ready() && self.body.is_end_stream()) {
            self.member.phase(Phase::Answered);
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_that_waits_gives_way_and_one_that_is_answered_never() {
        let crowd = Crowd::new(3);
        let members: Vec<_> = (0..3).map(|_| crowd.admit().unwrap()).collect();
        members[0].phase(Phase::Answered);
        members[1].phase(Phase::Idle);
        let fourth = crowd.admit().unwrap();
        assert!(members[2].evict.is_cancelled(), "the one that has never sent a request");
        fourth.phase(Phase::Answered);
        let fifth = crowd.admit().unwrap();
        assert!(members[1].evict.is_cancelled() && !members[0].evict.is_cancelled());
        fifth.phase(Phase::Answered);
        assert!(crowd.admit().is_none());
        drop(fourth);
        assert!(crowd.admit().is_some());
    }
}
