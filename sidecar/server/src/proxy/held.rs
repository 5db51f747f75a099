//! A stream between upstream server and client: chunks wait until what they say was scored. Pure.

mod queue;

use super::choice::{Release, TextSpan};
use super::filtered::{ChunkContent, ChunkHead, FilteredChoice};
use super::path::Api;
use super::payload;
use super::transcript::Transcript;
use crate::http::ApiError;
use crate::http::sse::{Event, Splitter, write_event};
use bytes::{Bytes, BytesMut};
use personaguard_guard::{Stop, UnscoredReason};
use queue::{Queue, Waiting};
use serde_json::Value;
use std::collections::BTreeSet;

/// Where the stream stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// More may come.
    Open,
    /// The upstream server has sent everything.
    Ended,
    /// The client was sent everything.
    Done,
}

/// Chunks on their way, with the transcript that judges them.
#[derive(Debug)]
pub(super) struct HeldStream {
    pub(super) transcript: Transcript,
    api: Api,
    /// Choices that were asked for.
    expected: usize,
    splitter: Splitter,
    queue: Queue,
    head: ChunkHead,
    /// Stopped choices whose end the client was sent.
    ended: BTreeSet<usize>,
    state: State,
}

impl HeldStream {
    pub(super) fn new(transcript: Transcript, api: Api, expected: usize) -> Self {
        Self {
            transcript,
            api,
            expected,
            splitter: Splitter::default(),
            queue: Queue::default(),
            head: ChunkHead::default(),
            ended: BTreeSet::new(),
            state: State::Open,
        }
    }

    /// Bytes came from the upstream server.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.splitter.push(bytes);
        loop {
            match self.splitter.next() {
                Ok(Some(event)) => self.take(event),
                Ok(None) => return,
                Err(_) => {
                    self.transcript.fail(UnscoredReason::NotUnderstood);
                    let rest = self.splitter.rest();
                    return self.wait(Event(rest), Vec::new());
                }
            }
        }
    }

    /// The upstream server has sent everything.
    pub(super) fn end(&mut self) {
        let rest = self.splitter.rest();
        if !rest.is_empty() {
            // Some clients read an event that no empty line ends.
            self.take(Event(rest));
        }
        self.transcript.complete();
        self.state = State::Ended;
    }

    fn take(&mut self, event: Event) {
        let spans = match event.data() {
            // Comments and the like.
            None => Vec::new(),
            Some(data) if data.trim_ascii() == b"[DONE]" => {
                self.transcript.complete();
                Vec::new()
            }
            Some(data) => match serde_json::from_slice::<Value>(&data) {
                Ok(payload) => match self.transcript.take(&payload) {
                    Ok(spans) => {
                        self.head.learn(payload);
                        spans
                    }
                    Err(unreadable) => self.misunderstood(unreadable.0),
                },
                Err(_) => self.misunderstood("a chunk is not JSON"),
            },
        };
        self.wait(event, spans);
    }

    fn misunderstood(&mut self, why: &'static str) -> Vec<(usize, TextSpan)> {
        if !self.transcript.is_open() {
            tracing::warn!(why, "an answer of the upstream server cannot be scored");
        }
        self.transcript.fail(UnscoredReason::NotUnderstood);
        Vec::new()
    }

    fn wait(&mut self, event: Event, spans: Vec<(usize, TextSpan)>) {
        self.queue.push(Waiting { event, spans });
        if self.queue.is_too_long() {
            self.transcript.fail(UnscoredReason::TooLong);
        }
    }

    /// Everything that may leave now; none where something has to happen first.
    pub(super) fn release(&mut self) -> Option<Bytes> {
        let mut out = BytesMut::new();
        while self.state != State::Done {
            if self.transcript.stop() == Some(Stop::Unscorable) {
                self.refuse(&mut out);
            } else if self.transcript.all_stopped(self.expected) {
                self.release_cleared(&mut out);
                self.end_stopped(&mut out);
                self.finish(&mut out);
            } else if !self.release_one(&mut out) {
                if self.queue.is_empty() && self.state == State::Ended {
                    self.end_stopped(&mut out);
                    self.state = State::Done;
                }
                break;
            }
        }
        (!out.is_empty()).then(|| out.freeze())
    }

    /// What was cleared before a fault leaves. An error follows, and no `[DONE]`: the client must
    /// not take this for complete.
    fn refuse(&mut self, out: &mut BytesMut) {
        while self
            .queue
            .front()
            .is_some_and(|front| self.judge(front) == Release::Now && !front.spans.is_empty())
        {
            self.release_one(out);
        }
        write_event(out, &ApiError::unscorable().body);
        self.state = State::Done;
    }

    /// What was cleared of choices that are all stopped: whole sentences before the breaching ones.
    fn release_cleared(&mut self, out: &mut BytesMut) {
        while let Some(front) = self.queue.front() {
            if front.spans.is_empty() {
                // The end of a response that now ends otherwise.
                self.queue.pop();
            } else if !self.release_one(out) {
                break;
            }
        }
    }

    fn finish(&mut self, out: &mut BytesMut) {
        out.extend_from_slice(b"data: [DONE]\n\n");
        self.state = State::Done;
    }

    fn end_stopped(&mut self, out: &mut BytesMut) {
        let stopped: Vec<_> = self.transcript.stopped().collect();
        for index in stopped {
            self.end_choice(index, out);
        }
    }

    /// Sends the last chunks of a choice that a policy stopped.
    fn end_choice(&mut self, index: usize, out: &mut BytesMut) {
        if self.ended.insert(index) {
            if let Some(text) = self.transcript.redaction(index) {
                self.write_chunk(index, ChunkContent::Text(&text), out);
            }
            self.write_chunk(index, ChunkContent::Filtered, out);
        }
    }

    fn write_chunk(&self, index: usize, content: ChunkContent<'_>, out: &mut BytesMut) {
        let choice = FilteredChoice::chunk(self.api, index, content);
        write_event(out, &self.head.chunk(choice));
    }

    fn judge(&self, waiting: &Waiting) -> Release {
        let mut all = Release::Now;
        for &(index, span) in &waiting.spans {
            match self.transcript.judge(index, span) {
                Release::Wait => return Release::Wait,
                Release::Never => all = Release::Never,
                Release::Now => {}
            }
        }
        all
    }

    fn release_one(&mut self, out: &mut BytesMut) -> bool {
        let Some(front) = self.queue.front() else { return false };
        let release = self.judge(front);
        if release == Release::Wait {
            return false;
        }
        let Some(Waiting { event, spans }) = self.queue.pop() else { return false };
        if release == Release::Now {
            out.extend_from_slice(&event.0);
        } else if let Some(rest) = self.without_stopped(&event, &spans) {
            write_event(out, &rest);
        }
        for &(index, span) in &spans {
            if self.transcript.judge(index, span) == Release::Never {
                self.end_choice(index, out);
            } else if span.to > 0 || span.is_last {
                self.transcript.left(index);
            }
        }
        true
    }

    /// A chunk without stopped choices, or with what leaves of them.
    fn without_stopped(&self, event: &Event, spans: &[(usize, TextSpan)]) -> Option<Value> {
        let mut payload: Value = serde_json::from_slice(&event.data()?).ok()?;
        let choices = payload.get_mut("choices")?.as_array_mut()?;
        let mut spans = spans.iter();
        choices.retain_mut(|choice| {
            let Some(&(index, span)) = spans.next() else { return false };
            let kept = self.transcript.kept(index, span);
            match self.transcript.judge(index, span) {
                Release::Now => true,
                _ if kept == 0
                    || self.ended.contains(&index)
                    || !payload::shorten(choice, kept, "") =>
                {
                    false
                }
                _ => {
                    choice["finish_reason"] = Value::Null;
                    true
                }
            }
        });
        (!choices.is_empty()).then_some(payload)
    }

    /// Whether the client was sent everything.
    pub(super) fn is_done(&self) -> bool {
        self.state == State::Done
    }
}

#[cfg(test)]
pub(super) mod tests;
