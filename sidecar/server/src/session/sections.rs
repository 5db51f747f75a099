//! Where the reasoning of a response ends and its answer begins: by the markers that models write,
//! and by the fields in which servers tell them apart.

use personaguard_guard::Section;
use personaguard_model::Model;

/// What reasoning begins and ends with.
pub(crate) const TAGS: [(&str, &str); 7] = [
    ("<think>", "</think>"),
    ("<thinking>", "</thinking>"),
    ("<thought>", "</thought>"),
    ("<reasoning>", "</reasoning>"),
    ("<seed:think>", "</seed:think>"),
    ("[THINK]", "[/THINK]"),
    // gpt-oss.
    ("<|channel|>analysis<|message|>", "<|end|>"),
];
/// Tokens at the end of a prompt in which a tag may stand.
const TAIL: usize = 16;

/// The tag that ends the reasoning which a prompt begins, if it begins any: some templates write
/// the first tag themselves.
pub(crate) fn begun(model: &Model, prompt: &[u32]) -> Option<&'static str> {
    let tail = &prompt[prompt.len().saturating_sub(TAIL)..];
    let text = model.tokenizer().decode_with_control(tail);
    TAGS.iter().find(|(open, _)| text.trim_end().ends_with(open)).map(|(_, close)| *close)
}

/// How many bytes at the end of a text may begin a tag.
pub(crate) fn begun_at_end(text: &str, tag: &str) -> usize {
    (1..tag.len()).rev().find(|&length| text.ends_with(&tag[..length])).unwrap_or(0)
}

/// Reads the text of a response as it grows. In doubt a text counts for both sections, or as the
/// answer: nothing that is said goes uncounted because somebody calls it reasoning too late.
#[derive(Clone, Debug)]
pub(crate) struct SectionReader {
    state: State,
    /// The end of the text that may belong to a tag.
    held: String,
    /// Bytes read.
    bytes: usize,
    /// Reasoning came for certain.
    has_reasoned: bool,
    /// Where the answer begins, in bytes.
    answer_from: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nobody tells sections apart.
    Undivided,
    /// Nothing came but space, or the beginning of a tag.
    Start,
    /// The prompt begins reasoning, and another server may have taken it out: only this tag would
    /// show that the text has it.
    Doubtful(&'static str),
    /// Reasoning, until this tag.
    Reasoning(&'static str),
    /// Reasoning in a field of its own.
    Field,
    Answer,
}

impl SectionReader {
    /// Of a text that is no chat.
    pub(crate) fn undivided() -> Self {
        Self::from(State::Undivided)
    }

    /// Of what our own model writes. `begun`: the tag that ends the reasoning which the prompt
    /// begins.
    pub(crate) fn of_model(begun: Option<&'static str>) -> Self {
        Self::from(begun.map_or(State::Start, State::Reasoning))
    }

    /// Of what another server sends.
    pub(crate) fn of_server(begun: Option<&'static str>) -> Self {
        Self::from(begun.map_or(State::Start, State::Doubtful))
    }

    fn from(state: State) -> Self {
        let has_reasoned = matches!(state, State::Reasoning(_));
        Self { state, held: String::new(), bytes: 0, has_reasoned, answer_from: None }
    }

    /// Bytes read so far.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether there is reasoning before the answer.
    pub(crate) fn has_reasoned(&self) -> bool {
        self.has_reasoned
    }

    /// The section of what ends at a byte, as far as it is known by now. A token that holds any of
    /// the answer is of the answer.
    pub(crate) fn section(&self, to: usize) -> Section {
        match self.answer_from {
            Some(from) if to > from || !self.has_reasoned => Section::Answer,
            None if !self.has_reasoned => Section::Unknown,
            _ => Section::Reasoning,
        }
    }

    /// Takes text that may have tags in it.
    pub(crate) fn push(&mut self, text: &str) {
        let before = self.bytes;
        self.bytes += text.len();
        match self.state {
            State::Undivided | State::Answer => {}
            State::Field if text.trim().is_empty() => {}
            State::Field => self.answer(before),
            State::Start | State::Doubtful(_) | State::Reasoning(_) => {
                self.held.push_str(text);
                if self.state == State::Start {
                    self.start();
                }
                if let State::Doubtful(close) | State::Reasoning(close) = self.state {
                    self.close(&[close]);
                }
            }
        }
    }

    /// Takes text that a field calls reasoning. It is no more once a tag in it has ended it, or the
    /// answer has begun.
    pub(crate) fn push_reasoning(&mut self, text: &str) {
        self.bytes += text.len();
        if text.is_empty() || matches!(self.state, State::Undivided | State::Answer) {
            return;
        }
        if self.state != State::Field {
            self.held.clear();
        }
        (self.state, self.has_reasoned) = (State::Field, true);
        self.held.push_str(text);
        self.close(&TAGS.map(|(_, close)| close));
    }

    fn start(&mut self) {
        let space = self.held.len() - self.held.trim_start().len();
        self.held.drain(..space);
        let tag = TAGS.iter().find(|(open, _)| self.held.starts_with(open));
        if let Some((open, close)) = tag {
            self.held.drain(..open.len());
            (self.state, self.has_reasoned) = (State::Reasoning(close), true);
        } else if !TAGS.iter().any(|(open, _)| open.starts_with(self.held.as_str())) {
            self.answer(0);
        }
    }

    /// Ends the reasoning at the first of these tags.
    fn close(&mut self, tags: &[&str]) {
        let ends = tags.iter().filter_map(|tag| Some(self.held.find(tag)? + tag.len()));
        if let Some(end) = ends.min() {
            self.has_reasoned = true;
            return self.answer(self.bytes - self.held.len() + end);
        }
        let kept = tags.iter().map(|tag| begun_at_end(&self.held, tag)).max().unwrap_or(0);
        self.held.drain(..self.held.len() - kept);
    }

    fn answer(&mut self, from: usize) {
        (self.state, self.answer_from) = (State::Answer, Some(from));
        self.held.clear();
    }
}

#[cfg(test)]
mod tests;
