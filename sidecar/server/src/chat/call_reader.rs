//! Reads tool calls out of what a model writes: they leave as a whole, or not at all.

use super::call::{Call, Callables, Part};
use super::held_text::HeldText;
use super::piece::Piece;
use personaguard_model::{TOOL_CALL_END, TOOL_CALL_START, ToolCallFormat};
use serde_json::{Map, Value};
use std::collections::VecDeque;
use std::sync::Arc;

/// Reads calls out of the pieces that may leave.
///
/// Text that could belong to a call waits until that is certain. What turns out not to be a call of
/// a known function stays text, as it was written. The pieces of a call are dropped, with the log
/// probabilities of their tokens.
#[derive(Debug)]
pub(super) struct CallReader {
    callables: Arc<Callables>,
    held: HeldText,
    ready: VecDeque<Part>,
    calls: usize,
    /// Nothing was said since the last call.
    is_after_call: bool,
    /// In Llama 3's format: the choice is no call, but text.
    is_text: bool,
}

impl CallReader {
    pub(super) fn new(callables: Arc<Callables>) -> Self {
        Self {
            callables,
            held: HeldText::default(),
            ready: VecDeque::new(),
            calls: 0,
            is_after_call: false,
            is_text: false,
        }
    }

    /// Calls so far.
    pub(super) fn calls(&self) -> usize {
        self.calls
    }

    /// Whether it has as many calls as it may have: nothing more leaves.
    pub(super) fn is_full(&self) -> bool {
        let max_calls = match self.callables.format {
            ToolCallFormat::Hermes => self.callables.max_calls,
            ToolCallFormat::Llama3 => 1,
        };
        self.calls >= max_calls
    }

    /// What may leave.
    pub(super) fn next(&mut self) -> Option<Part> {
        self.ready.pop_front()
    }

    /// Takes a piece that the guard releases.
    pub(super) fn push(&mut self, piece: Piece) {
        if self.is_full() {
            return;
        }
        let closes = piece.text.contains(['>', '}']);
        self.held.push(piece);
        match self.callables.format {
            ToolCallFormat::Hermes => self.read_hermes(),
            ToolCallFormat::Llama3 => self.read_llama3(closes),
        }
    }

    /// The choice is complete: what is held is text, unless it is just the space after a call.
    pub(super) fn finish(&mut self) {
        if self.is_after_call && self.held.text().trim().is_empty() {
            self.discard();
        }
        self.release_text(self.held.text().len());
        // Tokens that brought no text.
        self.ready.extend(
            self.held
                .take_all()
                .into_iter()
                .filter(|piece| piece.logprob.is_some())
                .map(Part::Text),
        );
    }

    /// The choice is cut: an incomplete call does not leave.
    pub(super) fn discard(&mut self) {
        self.held.take_all();
    }

    fn read_hermes(&mut self) {
        while !self.is_full() {
            let Some(open) = self.held.text().find(TOOL_CALL_START) else {
                return self.release_text(certainly_text(self.held.text()));
            };
            self.release_text(self.held.text()[..open].trim_end().len());
            let Some(open) =
                self.held.text().find(TOOL_CALL_START).map(|open| open + TOOL_CALL_START.len())
            else {
                return;
            };
            let Some(close) =
                self.held.text()[open..].find(TOOL_CALL_END).map(|close| open + close)
            else {
                return;
            };
            let call = serde_json::from_str(&self.held.text()[open..close])
                .ok()
                .and_then(|value| self.call(value));
            self.resolve(call, close + TOOL_CALL_END.len());
        }
    }

    fn read_llama3(&mut self, closes: bool) {
        let text = self.held.text().trim_start();
        if self.is_text || !(text.is_empty() || text.starts_with('{')) {
            self.is_text = true;
            return self.release_text(self.held.text().len());
        }
        if !closes {
            return;
        }
        let mut values = serde_json::Deserializer::from_str(self.held.text()).into_iter::<Value>();
        let call = match values.next() {
            Some(Err(error)) if error.is_eof() => return,
            Some(Ok(value)) => self.call(value),
            Some(Err(_)) | None => None,
        };
        self.is_text = call.is_none();
        self.resolve(call, self.held.text().len());
    }

    /// The first bytes of what is held are this call; if there is none, they are text.
    fn resolve(&mut self, call: Option<Call>, bytes: usize) {
        match call {
            None => self.release_text(bytes),
            Some(call) => {
                self.held.take(bytes);
                self.ready.push_back(Part::Call(call));
                (self.calls, self.is_after_call) = (self.calls + 1, true);
                if self.is_full() {
                    self.discard();
                }
            }
        }
    }

    fn call(&self, value: Value) -> Option<Call> {
        let Value::Object(mut fields) = value else { return None };
        let name = fields.get("name").and_then(Value::as_str)?.to_owned();
        let arguments = fields.remove("arguments").or_else(|| fields.remove("parameters"));
        let arguments: Map<String, Value> = match arguments {
            Some(Value::Object(arguments)) => arguments,
            _ => return None,
        };
        let is_known = self.callables.names.contains(&name);
        is_known.then(|| Call {
            index: self.calls,
            name,
            arguments: Value::Object(arguments).to_string(),
        })
    }

    /// The first bytes of what is held are text.
    fn release_text(&mut self, bytes: usize) {
        self.is_after_call &= bytes == 0;
        let pieces = self.held.take(bytes);
        self.ready.extend(pieces.into_iter().map(Part::Text));
    }
}

/// Bytes that belong to no call, whatever follows: all except space and the beginning of a tag at
/// the end.
fn certainly_text(text: &str) -> usize {
    let begins = |length: &usize| text.ends_with(&TOOL_CALL_START[..*length]);
    let tag = (1..TOOL_CALL_START.len()).rev().find(begins).unwrap_or(0);
    text[..text.len() - tag].trim_end().len()
}

#[cfg(test)]
mod tests;
