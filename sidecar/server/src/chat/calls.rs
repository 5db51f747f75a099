//! Calls of functions in what a model writes: they leave as a whole, or not at all.

use super::piece::Piece;
use crate::openai::{CalledFunction, FunctionType, ToolCall};
use personaguard_model::{TOOL_CALL_END, TOOL_CALL_START, ToolCallFormat};
use serde_json::{Map, Value};
use std::collections::VecDeque;
use std::sync::Arc;

/// A call of a function.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Call {
    /// Its number in the answer, from 0.
    pub(super) index: usize,
    pub(super) name: String,
    /// A JSON object.
    pub(super) arguments: String,
}

impl Call {
    /// The call as a whole response has it.
    pub(super) fn into_body(self) -> ToolCall {
        ToolCall {
            index: None,
            id: format!("call_{}", uuid::Uuid::new_v4().simple()),
            r#type: FunctionType::Function,
            function: CalledFunction { name: self.name, arguments: self.arguments },
        }
    }

    /// The call as a chunk has it: with its number.
    pub(super) fn into_chunk(self) -> ToolCall {
        ToolCall { index: Some(self.index), ..self.into_body() }
    }
}

/// What an answer says.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Part {
    Text(Piece),
    Call(Call),
}

/// What can be called, and how a model writes it.
#[derive(Debug)]
pub(super) struct Callables {
    pub(super) form: ToolCallFormat,
    /// Names of functions.
    pub(super) names: Vec<String>,
    /// Calls of one answer at most, where the form has more than one.
    pub(super) most: usize,
}

/// Reads calls out of an answer, as its pieces may leave.
///
/// Text that may belong to a call waits until that is certain. What turns out to be no call of a
/// function that there is stays text, as it was written; of a call that leaves, the pieces are
/// gone, with the log probabilities of their tokens.
#[derive(Debug)]
pub(super) struct CallReader {
    callables: Arc<Callables>,
    held: VecDeque<Piece>,
    /// Text of the pieces that are held.
    text: String,
    ready: VecDeque<Part>,
    calls: usize,
    /// Nothing was said since the last call.
    after_call: bool,
    /// In the bare form: it is text.
    plain: bool,
}

impl CallReader {
    pub(super) fn new(callables: Arc<Callables>) -> Self {
        Self {
            callables,
            held: VecDeque::new(),
            text: String::new(),
            ready: VecDeque::new(),
            calls: 0,
            after_call: false,
            plain: false,
        }
    }

    /// Calls so far.
    pub(super) fn calls(&self) -> usize {
        self.calls
    }

    /// Whether it has as many calls as it may have: nothing of the answer follows.
    pub(super) fn is_full(&self) -> bool {
        let most = match self.callables.form {
            ToolCallFormat::Hermes => self.callables.most,
            ToolCallFormat::Llama3 => 1,
        };
        self.calls >= most
    }

    /// What may leave.
    pub(super) fn next(&mut self) -> Option<Part> {
        self.ready.pop_front()
    }

    /// Takes what the guard lets go.
    pub(super) fn push(&mut self, piece: Piece) {
        if self.is_full() {
            return;
        }
        let closes = piece.text.contains(['>', '}']);
        self.text.push_str(&piece.text);
        self.held.push_back(piece);
        match self.callables.form {
            ToolCallFormat::Hermes => self.read_tagged(),
            ToolCallFormat::Llama3 => self.read_bare(closes),
        }
    }

    /// The answer is complete: what is held is text, unless it is just the space after a call.
    pub(super) fn finish(&mut self) {
        if self.after_call && self.text.trim().is_empty() {
            self.abandon();
        }
        self.let_go(self.text.len());
        // Tokens that brought no text.
        self.ready
            .extend(self.held.drain(..).filter(|piece| piece.logprob.is_some()).map(Part::Text));
    }

    /// The answer is cut: a call that was begun does not leave.
    pub(super) fn abandon(&mut self) {
        self.held.clear();
        self.text.clear();
    }

    fn read_tagged(&mut self) {
        while !self.is_full() {
            let Some(open) = self.text.find(TOOL_CALL_START) else {
                return self.let_go(certain(&self.text));
            };
            self.let_go(self.text[..open].trim_end().len());
            let Some(open) =
                self.text.find(TOOL_CALL_START).map(|open| open + TOOL_CALL_START.len())
            else {
                return;
            };
            let Some(close) = self.text[open..].find(TOOL_CALL_END).map(|close| open + close)
            else {
                return;
            };
            let call = serde_json::from_str(&self.text[open..close])
                .ok()
                .and_then(|value| self.call(value));
            self.settle(call, close + TOOL_CALL_END.len());
        }
    }

    fn read_bare(&mut self, closes: bool) {
        let text = self.text.trim_start();
        if self.plain || !(text.is_empty() || text.starts_with('{')) {
            self.plain = true;
            return self.let_go(self.text.len());
        }
        if !closes {
            return;
        }
        let mut values = serde_json::Deserializer::from_str(&self.text).into_iter::<Value>();
        let call = match values.next() {
            Some(Err(error)) if error.is_eof() => return,
            Some(Ok(value)) => self.call(value),
            Some(Err(_)) | None => None,
        };
        self.plain = call.is_none();
        self.settle(call, self.text.len());
    }

    /// The first bytes of what is held are this call, or text.
    fn settle(&mut self, call: Option<Call>, bytes: usize) {
        match call {
            None => self.let_go(bytes),
            Some(call) => {
                self.take(bytes).for_each(drop);
                self.ready.push_back(Part::Call(call));
                (self.calls, self.after_call) = (self.calls + 1, true);
                if self.is_full() {
                    self.abandon();
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
        let known = self.callables.names.contains(&name);
        known.then(|| Call {
            index: self.calls,
            name,
            arguments: Value::Object(arguments).to_string(),
        })
    }

    /// The first bytes of what is held are text.
    fn let_go(&mut self, bytes: usize) {
        self.after_call &= bytes == 0;
        let pieces = self.take(bytes);
        self.ready.extend(pieces.map(Part::Text));
    }

    /// Takes the first bytes of what is held out of it. A piece that they end in is split; its
    /// token is the first part's.
    fn take(&mut self, bytes: usize) -> impl Iterator<Item = Piece> + use<> {
        let (mut taken, mut left) = (Vec::new(), bytes);
        while left > 0
            && let Some(mut piece) = self.held.pop_front()
        {
            if piece.text.len() > left {
                let rest = piece.text.split_off(left);
                self.held.push_front(Piece { text: rest, logprob: None });
            }
            left -= piece.text.len();
            taken.push(piece);
        }
        self.text.drain(..bytes);
        taken.into_iter()
    }
}

/// Bytes that belong to no call, whatever follows: all but space and the beginning of a tag at the
/// end.
fn certain(text: &str) -> usize {
    let begins = |length: &usize| text.ends_with(&TOOL_CALL_START[..*length]);
    let tag = (1..TOOL_CALL_START.len()).rev().find(begins).unwrap_or(0);
    text[..text.len() - tag].trim_end().len()
}

#[cfg(test)]
mod tests;
