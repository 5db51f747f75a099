//! A stream between upstream server and client: chunks wait until what they say was scored. Pure.

use super::choice::{Need, Verdict};
use super::path::Api;
use super::payload;
use super::transcript::Transcript;
use crate::http::ApiError;
use crate::http::sse::{Event, Splitter};
use bytes::{Bytes, BytesMut};
use personaguard_guard::{Fault, Stop};
use serde_json::{Map, Value, json};
use std::collections::{BTreeSet, VecDeque};

/// Bytes that wait at most; past it the answer cannot be scored in time.
const MAX_HELD: usize = 8 << 20;

/// One event, and what must be known before it leaves.
#[derive(Debug)]
struct Waiting {
    event: Event,
    needs: Vec<(usize, Need)>,
}

/// Where the stream stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// More may come.
    Flowing,
    /// The upstream server has said all.
    Ended,
    /// The client was told all.
    Done,
}

/// Chunks on their way, with the transcript that judges them.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) transcript: Transcript,
    api: Api,
    /// Choices asked for.
    expected: usize,
    splitter: Splitter,
    waiting: VecDeque<Waiting>,
    bytes: usize,
    /// What chunks of this answer have in common.
    head: Map<String, Value>,
    /// Cut choices of which the client knows.
    told: BTreeSet<usize>,
    state: State,
}

impl Held {
    pub(super) fn new(transcript: Transcript, api: Api, expected: usize) -> Self {
        Self {
            transcript,
            api,
            expected,
            splitter: Splitter::default(),
            waiting: VecDeque::new(),
            bytes: 0,
            head: Map::new(),
            told: BTreeSet::new(),
            state: State::Flowing,
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
                    self.transcript.fail(Fault::NotUnderstood);
                    let rest = self.splitter.rest();
                    return self.wait(Event(rest), Vec::new());
                }
            }
        }
    }

    /// The upstream server has said all.
    pub(super) fn end(&mut self) {
        let rest = self.splitter.rest();
        if !rest.is_empty() {
            // Some clients read an event that nothing ends.
            self.take(Event(rest));
        }
        self.transcript.complete();
        self.state = State::Ended;
    }

    fn take(&mut self, event: Event) {
        let needs = match event.data() {
            // Comments and the like.
            None => Vec::new(),
            Some(data) if data.trim_ascii() == b"[DONE]" => {
                self.transcript.complete();
                Vec::new()
            }
            Some(data) => match serde_json::from_slice::<Value>(&data) {
                Ok(payload) => match self.transcript.take(&payload) {
                    Ok(needs) => {
                        self.remember(payload);
                        needs
                    }
                    Err(unreadable) => self.misunderstood(unreadable.0),
                },
                Err(_) => self.misunderstood("a chunk is not JSON"),
            },
        };
        self.wait(event, needs);
    }

    fn misunderstood(&mut self, why: &'static str) -> Vec<(usize, Need)> {
        if !self.transcript.is_open() {
            tracing::warn!(why, "an answer of the upstream server cannot be scored");
        }
        self.transcript.fail(Fault::NotUnderstood);
        Vec::new()
    }

    fn wait(&mut self, event: Event, needs: Vec<(usize, Need)>) {
        self.bytes += event.0.len();
        self.waiting.push_back(Waiting { event, needs });
        if self.bytes > MAX_HELD {
            self.transcript.fail(Fault::TooLong);
        }
    }

    fn remember(&mut self, payload: Value) {
        if let (true, Value::Object(mut fields)) = (self.head.is_empty(), payload) {
            fields.retain(|name, _| {
                matches!(
                    name.as_str(),
                    "id" | "object" | "created" | "model" | "system_fingerprint"
                )
            });
            self.head = fields;
        }
    }

    /// Everything that may leave now; none where something has to happen first.
    pub(super) fn release(&mut self) -> Option<Bytes> {
        let mut out = BytesMut::new();
        while self.state != State::Done {
            if self.transcript.stop() == Some(Stop::Unscorable) {
                self.refuse(&mut out);
            } else if self.transcript.all_cut(self.expected) {
                self.release_cleared(&mut out);
                self.tell_cuts(&mut out);
                self.finish(&mut out);
            } else if !self.release_one(&mut out) {
                if self.waiting.is_empty() && self.state == State::Ended {
                    self.tell_cuts(&mut out);
                    self.state = State::Done;
                }
                break;
            }
        }
        (!out.is_empty()).then(|| out.freeze())
    }

    /// What was cleared before a fault leaves; an error follows, and no `[DONE]`: nobody should
    /// take this for complete.
    fn refuse(&mut self, out: &mut BytesMut) {
        while self
            .waiting
            .front()
            .is_some_and(|front| self.judge(front) == Verdict::Leave && !front.needs.is_empty())
        {
            self.release_one(out);
        }
        event(out, &serde_json::to_value(ApiError::unscorable().body).unwrap_or_default());
        self.state = State::Done;
    }

    /// What was cleared of choices that are all cut: whole sentences before the breaching ones.
    fn release_cleared(&mut self, out: &mut BytesMut) {
        while let Some(front) = self.waiting.front() {
            if front.needs.is_empty() {
                // The end of an answer that now ends otherwise.
                self.waiting.pop_front();
            } else if !self.release_one(out) {
                break;
            }
        }
    }

    fn finish(&mut self, out: &mut BytesMut) {
        out.extend_from_slice(b"data: [DONE]\n\n");
        self.state = State::Done;
    }

    fn tell_cuts(&mut self, out: &mut BytesMut) {
        let cut: Vec<_> = self.transcript.cut().collect();
        for index in cut {
            self.tell_cut(index, out);
        }
    }

    /// The last chunk of a choice that a policy stopped.
    fn tell_cut(&mut self, index: usize, out: &mut BytesMut) {
        if self.told.insert(index) {
            if let Some(text) = self.transcript.redaction(index) {
                self.say(index, &text, None, out);
            }
            self.say(index, "", Some("content_filter"), out);
        }
    }

    /// A chunk of our own.
    fn say(&self, index: usize, text: &str, finish_reason: Option<&str>, out: &mut BytesMut) {
        let choice = match self.api {
            Api::Text => {
                json!({ "index": index, "text": text, "logprobs": null, "finish_reason": finish_reason })
            }
            _ => {
                let delta = if text.is_empty() { json!({}) } else { json!({ "content": text }) };
                json!({ "index": index, "delta": delta, "logprobs": null, "finish_reason": finish_reason })
            }
        };
        let mut chunk = self.head.clone();
        chunk.insert("choices".to_owned(), json!([choice]));
        event(out, &Value::Object(chunk));
    }

    fn judge(&self, waiting: &Waiting) -> Verdict {
        let mut all = Verdict::Leave;
        for &(index, need) in &waiting.needs {
            match self.transcript.verdict(index, need) {
                Verdict::Wait => return Verdict::Wait,
                Verdict::Never => all = Verdict::Never,
                Verdict::Leave => {}
            }
        }
        all
    }

    fn release_one(&mut self, out: &mut BytesMut) -> bool {
        let Some(front) = self.waiting.front() else { return false };
        let verdict = self.judge(front);
        if verdict == Verdict::Wait {
            return false;
        }
        let Some(Waiting { event, needs }) = self.waiting.pop_front() else { return false };
        self.bytes -= event.0.len();
        if verdict == Verdict::Leave {
            out.extend_from_slice(&event.0);
        } else if let Some(rest) = self.without_cuts(&event, &needs) {
            self::event(out, &rest);
        }
        for &(index, need) in &needs {
            if self.transcript.verdict(index, need) == Verdict::Never {
                self.tell_cut(index, out);
            } else if need.to > 0 || need.last {
                self.transcript.left(index);
            }
        }
        true
    }

    /// A chunk without choices that are cut, or with what leaves of them.
    fn without_cuts(&self, event: &Event, needs: &[(usize, Need)]) -> Option<Value> {
        let mut payload: Value = serde_json::from_slice(&event.data()?).ok()?;
        let choices = payload.get_mut("choices")?.as_array_mut()?;
        let mut needs = needs.iter();
        choices.retain_mut(|choice| {
            let Some(&(index, need)) = needs.next() else { return false };
            let kept = self.transcript.kept(index, need);
            match self.transcript.verdict(index, need) {
                Verdict::Leave => true,
                _ if kept == 0
                    || self.told.contains(&index)
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

    /// Whether the client was told all.
    pub(super) fn is_done(&self) -> bool {
        self.state == State::Done
    }
}

fn event(out: &mut BytesMut, payload: &Value) {
    out.extend_from_slice(b"data: ");
    out.extend_from_slice(payload.to_string().as_bytes());
    out.extend_from_slice(b"\n\n");
}

#[cfg(test)]
pub(super) mod tests;
