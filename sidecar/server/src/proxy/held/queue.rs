//! Events that wait for their scores.

use crate::http::sse::Event;
use crate::http::{BodyGuard, NoRoom};
use crate::proxy::choice::TextSpan;
use bytes::Bytes;
use std::collections::VecDeque;

/// Bytes that wait at most; past it the response cannot be scored in time.
const MAX_BYTES: usize = 8 << 20;

/// One event, and the text whose scores must be known before it leaves, by the index of the choice.
#[derive(Debug)]
pub(super) struct Waiting {
    /// As the upstream server wrote it.
    pub(super) event: Event,
    /// What may leave of it; empty where nothing may.
    pub(super) clean: Bytes,
    pub(super) spans: Vec<(usize, TextSpan)>,
    /// It says that nothing more comes.
    pub(super) is_last: bool,
}

#[derive(Debug, Default)]
pub(super) struct Queue {
    events: VecDeque<Waiting>,
    bytes: usize,
    rest: usize,
    /// The memory of all that is held, in this response and others.
    memory: Option<BodyGuard>,
}

impl Waiting {
    /// Nothing of it may leave, and no text is in it.
    pub(super) fn new(event: Event) -> Self {
        Self { event, clean: Bytes::new(), spans: Vec::new(), is_last: false }
    }

    /// What it takes in memory: an event of a few bytes costs more than these.
    fn bytes(&self) -> usize {
        let spans = self.spans.len() * size_of::<(usize, TextSpan)>();
        size_of::<Self>() + self.event.0.len() + self.clean.len() + spans
    }
}

impl Queue {
    pub(super) fn set_memory(&mut self, memory: BodyGuard) {
        self.memory = Some(memory);
    }

    /// Adds an event, in any case.
    ///
    /// # Errors
    /// More is held than may be, by this response or by all.
    pub(super) fn push(&mut self, waiting: Waiting) -> Result<(), NoRoom> {
        self.bytes += waiting.bytes();
        self.events.push_back(waiting);
        self.account()
    }

    /// Bytes that are no event yet.
    ///
    /// # Errors
    /// As [`Self::push`].
    pub(super) fn set_rest(&mut self, rest: usize) -> Result<(), NoRoom> {
        self.rest = rest;
        self.account()
    }

    fn account(&mut self) -> Result<(), NoRoom> {
        let bytes = self.bytes + self.rest;
        let held = self.memory.as_mut().map_or(Ok(()), |memory| memory.hold(bytes));
        if bytes > MAX_BYTES { Err(NoRoom) } else { held }
    }

    pub(super) fn front(&self) -> Option<&Waiting> {
        self.events.front()
    }

    pub(super) fn pop(&mut self) -> Option<Waiting> {
        let waiting = self.events.pop_front()?;
        self.bytes -= waiting.bytes();
        // There was room for more before.
        let _ = self.account();
        Some(waiting)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.events.is_empty()
    }
}
