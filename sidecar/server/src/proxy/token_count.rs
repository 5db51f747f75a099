//! Which tokens stand behind the text of a response, as the model server counts them: where the
//! plugin in it measures each token, this tells which text may leave once so many are measured.
//! Pure.

use super::answer::Part;
use super::path::Api;
use serde_json::Value;
use std::collections::VecDeque;

/// What the client has asked to be told of counts, and is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct AskedCounts {
    /// At the end of a stream.
    pub(super) last: bool,
    /// In each chunk.
    pub(super) each: bool,
}

/// What was asked, as far as it says what the counts mean.
#[derive(Clone, Copy, Debug)]
pub(super) struct CountedRequest {
    pub(super) api: Api,
    pub(super) asked: AskedCounts,
    /// A stream was asked for.
    pub(super) is_stream: bool,
    /// Text leaves as it comes, and is not held until its tokens are measured.
    pub(super) is_observed: bool,
    /// The text of what ended the response may be part of it.
    pub(super) keeps_stop: bool,
}

/// The text up to a byte is of so many tokens, at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) to: usize,
    pub(super) tokens: usize,
}

/// The tokens behind a response's text.
#[derive(Debug)]
pub(super) struct TokenCount {
    request: CountedRequest,
    /// Tokens so far.
    told: Option<usize>,
    /// Tokens of the prompt.
    prompt_tokens: usize,
    marks: VecDeque<Mark>,
    /// Text up to this byte was counted.
    marked: usize,
    /// The payload that was read last says how many tokens there are.
    is_counted: bool,
    /// It comes in pieces.
    is_stream: bool,
    /// The last token has no text: it only ends the response.
    ends_silently: bool,
    is_complete: bool,
    /// Tokens of prompt and response, where the server gives them.
    prompt: Vec<u32>,
    response: Vec<u32>,
}

impl TokenCount {
    pub(super) fn new(request: CountedRequest) -> Self {
        Self {
            request,
            told: None,
            prompt_tokens: 0,
            marks: VecDeque::new(),
            marked: 0,
            is_counted: false,
            is_stream: false,
            ends_silently: false,
            is_complete: false,
            prompt: Vec::new(),
            response: Vec::new(),
        }
    }

    /// Reads a payload as it came, and takes out what the client has not asked for.
    pub(super) fn read(&mut self, part: Part, payload: &mut Value) {
        self.is_counted = false;
        self.is_stream = part == Part::Event;
        match (self.request.api, part) {
            (Api::Chat | Api::Completions, part) => {
                let (reason, stop) = {
                    let choice = &payload["choices"][0];
                    (choice["finish_reason"].clone(), choice["stop_reason"].clone())
                };
                self.finish(reason.as_str(), matches!(stop, Value::Null | Value::Number(_)));
                self.count(&payload["usage"], "prompt_tokens", "completion_tokens");
                self.learn_tokens(payload);
                if part == Part::Event {
                    self.strip(payload);
                }
            }
            (Api::Messages, part) => {
                let end = if part == Part::Event { &payload["delta"] } else { &*payload };
                let reason = end["stop_reason"].as_str();
                // Before its end a stream tells a count that is none.
                if reason.is_some() {
                    self.finish(reason, end["stop_sequence"].is_null());
                    self.count(&payload["usage"], "input_tokens", "output_tokens");
                }
            }
            (Api::Responses, part) => {
                let response = if part == Part::Event { &payload["response"] } else { &*payload };
                let status = response["status"].as_str();
                if matches!(status, Some("completed" | "incomplete" | "failed")) {
                    // There are no stop strings in this API.
                    self.finish(status.filter(|status| *status == "completed"), true);
                    self.count(&response["usage"], "input_tokens", "output_tokens");
                }
            }
        }
    }

    fn finish(&mut self, reason: Option<&str>, by_token: bool) {
        let Some(reason) = reason else { return };
        let is_stop =
            matches!(reason, "stop" | "tool_calls" | "end_turn" | "tool_use" | "completed");
        self.ends_silently = is_stop && by_token && !self.request.keeps_stop;
    }

    fn count(&mut self, usage: &Value, prompt: &str, response: &str) {
        let number = |name: &str| usage[name].as_u64().and_then(|it| usize::try_from(it).ok());
        let Some(tokens) = number(response) else { return };
        // A count that falls is none.
        if self.told.is_none_or(|told| tokens >= told) {
            self.told = Some(tokens);
            self.is_counted = true;
            self.prompt_tokens = number(prompt).unwrap_or(self.prompt_tokens);
        }
    }

    fn learn_tokens(&mut self, payload: &Value) {
        let ids = |value: &Value| -> Option<Vec<u32>> {
            let ids = value.as_array()?.iter();
            ids.map(|id| u32::try_from(id.as_u64()?).ok()).collect()
        };
        let choice = &payload["choices"][0];
        let prompt = ids(&payload["prompt_token_ids"]).or_else(|| ids(&choice["prompt_token_ids"]));
        if let Some(prompt) = prompt.filter(|_| self.prompt.is_empty()) {
            self.prompt = prompt;
        }
        self.response.extend(ids(&choice["token_ids"]).unwrap_or_default());
    }

    /// Takes out of a chunk what only the sidecar has asked for.
    fn strip(&self, payload: &mut Value) {
        let Some(fields) = payload.as_object_mut() else { return };
        let is_end = fields.get("choices").is_none_or(|choices| choices == &Value::Array(vec![]));
        let is_asked = if is_end { self.request.asked.last } else { self.request.asked.each };
        if !is_asked {
            fields.remove("usage");
        }
        let choice = fields.get("choices").and_then(|choices| choices.get(0));
        let is_bare = choice.is_some_and(|choice| {
            choice["delta"].as_object().is_some_and(serde_json::Map::is_empty)
                && choice["finish_reason"].is_null()
        });
        if is_bare {
            // It was sent for its tokens alone.
            fields.remove("usage");
            fields.insert("choices".to_owned(), Value::Array(Vec::new()));
        }
    }

    /// The text that came with the payload ends here. Text without a count waits for the next.
    pub(super) fn mark(&mut self, to: usize) {
        if let Some(tokens) = self.told.filter(|_| self.is_counted) {
            self.marked = to;
            match self.marks.back_mut() {
                Some(last) if last.tokens == tokens => last.to = to,
                _ => self.marks.push_back(Mark { to, tokens }),
            }
        }
    }

    /// Whether it is a stream of text that waits, and does not say of how many tokens it is.
    pub(super) fn is_uncounted(&self) -> bool {
        let CountedRequest { is_stream, is_observed, .. } = self.request;
        is_stream && !is_observed && !self.counts_in_chunks() && !self.is_complete
    }

    /// What the text is of at most, where the server does not say it. What it says at the end
    /// stands.
    pub(super) fn bound(&mut self, mark: Mark) {
        if mark.to <= self.marked || self.is_complete {
            return;
        }
        match self.marks.back_mut() {
            Some(last) if last.tokens >= mark.tokens => last.to = last.to.max(mark.to),
            _ => self.marks.push_back(mark),
        }
    }

    /// Nothing more comes.
    pub(super) fn complete(&mut self) {
        self.is_complete = true;
    }

    pub(super) fn is_complete(&self) -> bool {
        self.is_complete
    }

    pub(super) fn is_observed(&self) -> bool {
        self.request.is_observed
    }

    /// Whether anything was counted.
    pub(super) fn is_told(&self) -> bool {
        self.told.is_some()
    }

    /// The server has counted nothing: as many as were measured are all, and one that ended them.
    pub(super) fn tell(&mut self, measured: usize) {
        (self.told, self.ends_silently) = (Some(measured + 1), true);
    }

    /// Whether the engine has gone on since, although no more than so many tokens were measured;
    /// none where not even the prompt was.
    pub(super) fn is_ahead(&self, measured: Option<usize>) -> bool {
        let told = self.told.filter(|_| self.counts_in_chunks()).unwrap_or(0);
        self.is_complete || told > measured.map_or(0, |measured| measured + 1)
    }

    /// Text up to this byte was counted.
    pub(super) fn marked(&self) -> usize {
        self.marked
    }

    /// Whether all but the last token were judged, and the text of that is to leave.
    pub(super) fn lacks_last(&self, judged: usize) -> bool {
        self.needed() == Some(judged + 1) && self.told == Some(judged + 1)
    }

    /// Of `received` measured tokens, how many count by now: no more than have text, so that what
    /// is judged does not depend on what comes first.
    pub(super) fn due(&self, received: usize) -> usize {
        match (self.needed(), self.told) {
            (Some(needed), _) => needed,
            // Before the first chunk none has text.
            (None, told) if self.counts_in_chunks() && self.request.is_stream => told.unwrap_or(0),
            // The last may be the one that ends the response.
            _ => received.saturating_sub(1),
        }
    }

    fn counts_in_chunks(&self) -> bool {
        matches!(self.request.api, Api::Chat | Api::Completions) && !self.request.is_observed
    }

    /// How many tokens have to be measured, once that is known. The engine does not read the last
    /// one, so it cannot be measured as the others are.
    pub(super) fn needed(&self) -> Option<usize> {
        let told = self.told.filter(|_| self.is_complete)?;
        let is_without_last = self.ends_silently || self.request.is_observed;
        Some(if is_without_last { told.saturating_sub(1) } else { told })
    }

    /// The byte that the text of a token reaches to at most. In a response of one piece, and where
    /// nothing waits, that would depend on what comes first: the text, or what is measured.
    pub(super) fn reach(&self, token: usize) -> Option<usize> {
        let mut marks = self.marks.iter().filter(|_| self.is_stream && self.counts_in_chunks());
        marks.find(|mark| mark.tokens > token).map(|mark| mark.to)
    }

    /// Text that may leave once `measured` tokens were judged.
    pub(super) fn next_mark(&mut self, measured: usize) -> Option<Mark> {
        let most = self.needed().unwrap_or(usize::MAX);
        let tokens = |mark: &Mark| mark.tokens.min(most);
        let mark = *self.marks.front().filter(|mark| tokens(mark) <= measured)?;
        self.marks.pop_front();
        Some(Mark { tokens: tokens(&mark), ..mark })
    }

    /// Tokens of prompt and response, where the server has given all of them.
    pub(super) fn all_tokens(&self) -> Option<(&[u32], &[u32])> {
        let is_all = !self.prompt.is_empty()
            && self.prompt.len() == self.prompt_tokens
            && Some(self.response.len()) == self.told;
        is_all.then_some((&self.prompt, &self.response))
    }
}

#[cfg(test)]
mod tests;
