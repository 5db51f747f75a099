//! A stream between upstream server and client: chunks wait until what they say was scored. Pure.

mod queue;

use super::answer::{Part, is_last, shorten};
use super::choice::{Release, TextSpan};
use super::ending::Ending;
use super::transcript::Transcript;
use crate::http::sse::{Event, Splitter};
use crate::http::{ApiError, BodyGuard};
use crate::openai::answered;
use bytes::{Bytes, BytesMut};
use personaguard_guard::{Stop, UnscoredReason};
use queue::{Queue, Waiting};
use serde_json::{Value, json};
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
    /// Choices that were asked for.
    expected: usize,
    splitter: Splitter,
    queue: Queue,
    ending: Ending,
    /// Stopped choices whose end the client was sent.
    ended: BTreeSet<usize>,
    state: State,
}

impl HeldStream {
    pub(super) fn new(transcript: Transcript, ending: Ending, expected: usize) -> Self {
        Self {
            transcript,
            expected,
            splitter: Splitter::default(),
            queue: Queue::default(),
            ending,
            ended: BTreeSet::new(),
            state: State::Open,
        }
    }

    /// The same; what it holds counts against a budget.
    pub(super) fn within(mut self, memory: BodyGuard) -> Self {
        self.queue.set_memory(memory);
        self
    }

    /// Bytes came from the upstream server.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.splitter.push(bytes);
        loop {
            match self.splitter.next() {
                Ok(Some(event)) => self.take(event),
                Ok(None) => {
                    if self.queue.set_rest(self.splitter.len()).is_err() {
                        self.transcript.fail(UnscoredReason::TooLong);
                    }
                    return;
                }
                Err(_) => {
                    self.transcript.fail(UnscoredReason::NotUnderstood);
                    let event = Event(self.splitter.rest());
                    return self.wait(Waiting::new(event));
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
        let data = event.said();
        let mut waiting = Waiting::new(event);
        match data {
            // Comments and the like: nobody scores them.
            None => {}
            Some(data) if data.trim_ascii() == b"[DONE]" => {
                self.transcript.complete();
                waiting.clean = Bytes::from_static(b"data: [DONE]\n\n");
                waiting.is_last = true;
            }
            Some(data) => match answered(&data) {
                Some(payload) => self.read(payload, &mut waiting),
                None => self.misunderstood("a chunk is not JSON"),
            },
        }
        self.wait(waiting);
    }

    /// Reads an event: what may leave of it, and when.
    fn read(&mut self, mut payload: Value, waiting: &mut Waiting) {
        match self.transcript.take(self.ending.naming(), Part::Event, &mut payload) {
            Ok(spans) => waiting.spans = spans,
            Err(unreadable) => return self.misunderstood(unreadable.0),
        }
        self.ending.learn(&payload);
        waiting.is_last = is_last(self.ending.naming(), &payload);
        if !is_empty(&payload) {
            let mut clean = BytesMut::new();
            self.ending.write(&payload, &mut clean);
            waiting.clean = clean.freeze();
        }
    }

    fn misunderstood(&mut self, why: &'static str) {
        if !self.transcript.is_open() {
            tracing::warn!(why, "an answer of the upstream server cannot be scored");
        }
        self.transcript.fail(UnscoredReason::NotUnderstood);
    }

    fn wait(&mut self, waiting: Waiting) {
        if self.queue.push(waiting).is_err() {
            self.transcript.fail(UnscoredReason::TooLong);
        }
    }

    /// Whether all that is left to send is what says that nothing more comes. It leaves when the
    /// upstream server has ended the response, so that nothing can follow it.
    pub(super) fn waits_for_end(&self) -> bool {
        self.state == State::Open && self.queue.front().is_some_and(|front| front.is_last)
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
            && self.release_one(out)
        {}
        self.ending.write(&json!(ApiError::unscorable().body), out);
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
        self.ending.finish(out);
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
            let text = self.transcript.redaction(index);
            self.ending.end_choice(index, text.as_deref(), out);
        }
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
        if release == Release::Wait || (front.is_last && self.state == State::Open) {
            return false;
        }
        let Some(Waiting { event, clean, spans, .. }) = self.queue.pop() else { return false };
        if release == Release::Never {
            if let Some(rest) = self.without_stopped(&clean, &spans) {
                self.ending.write(&rest, out);
                self.ending.left(&rest);
            }
        } else if self.transcript.is_open() {
            // The policies let pass what cannot be read, as it is.
            out.extend_from_slice(&event.0);
        } else {
            out.extend_from_slice(&clean);
            self.ending.left_bytes(&clean);
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

    /// An event without stopped choices, or with what leaves of them.
    fn without_stopped(&self, clean: &Bytes, spans: &[(usize, TextSpan)]) -> Option<Value> {
        let mut payload: Value = serde_json::from_slice(&Event(clean.clone()).data()?).ok()?;
        let Some(choices) = payload.get_mut("choices").and_then(Value::as_array_mut) else {
            // An API with one choice.
            let &(index, span) = spans.first()?;
            return self.shortened(payload, index, span);
        };
        let mut spans = spans.iter();
        choices.retain_mut(|choice| {
            let Some(&(index, span)) = spans.next() else { return false };
            let kept = span.skip + self.transcript.kept(index, span);
            match self.transcript.judge(index, span) {
                Release::Now => true,
                _ if kept == 0 || self.ended.contains(&index) || !shorten(choice, kept, "") => {
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

    /// The beginning of an event that adds text to the only choice.
    fn shortened(&self, mut payload: Value, index: usize, span: TextSpan) -> Option<Value> {
        let kept = self.transcript.kept(index, span);
        let place = match payload["type"].as_str()? {
            "content_block_delta" if payload["delta"]["type"] == "text_delta" => "/delta/text",
            "response.output_text.delta" => "/delta",
            _ => return None,
        };
        let text = payload.pointer_mut(place)?;
        let kept = text.as_str()?.get(..kept).filter(|kept| !kept.is_empty())?.to_owned();
        if self.ended.contains(&index) {
            return None;
        }
        *text = kept.into();
        Some(payload)
    }

    /// An error, as an event of this stream.
    pub(super) fn error(&self, error: &ApiError) -> Bytes {
        let mut out = BytesMut::new();
        self.ending.write(&json!(error.body), &mut out);
        out.freeze()
    }

    /// Whether all of it has come and was scored, or a policy has stopped it.
    pub(super) fn is_settled(&self) -> bool {
        let is_scored = self.state == State::Ended && !self.transcript.awaits_rows();
        is_scored || self.transcript.stop().is_some()
    }

    /// Whether the client was sent everything.
    pub(super) fn is_done(&self) -> bool {
        self.state == State::Done
    }
}

/// Whether nothing of a payload is left to send.
fn is_empty(payload: &Value) -> bool {
    let Value::Object(fields) = payload else { return true };
    let has_choices = fields.get("choices").is_some_and(|choices| choices != &json!([]));
    let speaks = ["usage", "error", "type"].iter().any(|field| fields.contains_key(*field));
    !has_choices && !speaks
}

#[cfg(test)]
mod section_tests;
#[cfg(test)]
pub(super) mod tests;
