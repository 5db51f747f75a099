//! Events that wait for their scores.

use crate::http::sse::Event;
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
}

#[derive(Debug, Default)]
pub(super) struct Queue {
    events: VecDeque<Waiting>,
    bytes: usize,
}

impl Waiting {
    fn bytes(&self) -> usize {
        self.event.0.len() + self.clean.len()
    }
}

impl Queue {
    pub(super) fn push(&mut self, waiting: Waiting) {
        self.bytes += waiting.bytes();
        self.events.push_back(waiting);
    }

    pub(super) fn front(&self) -> Option<&Waiting> {
        self.events.front()
    }

    pub(super) fn pop(&mut self) -> Option<Waiting> {
        let waiting = self.events.pop_front()?;
        self.bytes -= waiting.bytes();
        Some(waiting)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    pub(super) fn is_too_long(&self) -> bool {
        self.bytes > MAX_BYTES
    }
}
