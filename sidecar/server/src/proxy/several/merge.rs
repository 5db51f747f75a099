//! Puts bodies and events of several answers together, each of one choice. Pure.

use crate::http::sse::{Event, write_event};
use crate::openai::answered;
use bytes::BytesMut;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// What all chunks of a response have in common: theirs is that of the first.
const HEAD: [&str; 2] = ["id", "created"];

/// What an event was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// The answers go on.
    Went,
    /// It reports an error.
    Error,
}

/// Several answers on their way to be one response.
#[derive(Debug)]
pub(super) struct Merge {
    /// Answers to each prompt.
    per_prompt: usize,
    head: Map<String, Value>,
    /// The event that says what was used, with the sum so far.
    last: Option<Value>,
    used: Map<String, Value>,
    /// Prompts whose tokens were counted.
    prompts: BTreeSet<usize>,
    /// Answers that have said that nothing more comes.
    ended: BTreeSet<usize>,
}

impl Merge {
    pub(super) fn new(per_prompt: usize) -> Self {
        Self {
            per_prompt,
            head: Map::new(),
            last: None,
            used: Map::new(),
            prompts: BTreeSet::new(),
            ended: BTreeSet::new(),
        }
    }

    /// Adds the body of an answer to those before it. None where it is not one of a choice.
    pub(super) fn add_whole(
        &mut self,
        merged: &mut Option<Value>,
        number: usize,
        mut body: Value,
    ) -> Option<()> {
        let choice = match body.get_mut("choices")?.as_array_mut()?.as_mut_slice() {
            [choice] if choice.is_object() => choice,
            _ => return None,
        };
        choice["index"] = number.into();
        let choice = choice.take();
        self.use_of(number, &body["usage"]);
        let merged = merged.get_or_insert_with(|| {
            body["choices"] = json!([]);
            body
        });
        merged["choices"].as_array_mut()?.push(choice);
        Some(())
    }

    /// The body of all answers.
    pub(super) fn whole(self, mut merged: Value) -> Value {
        if !self.used.is_empty() {
            merged["usage"] = self.used.into();
        }
        merged
    }

    /// Takes an event of an answer, and writes what becomes of it.
    pub(super) fn event(&mut self, number: usize, event: &Event, out: &mut BytesMut) -> Taken {
        let Some(data) = event.said() else {
            // A sign of life.
            out.extend_from_slice(&event.0);
            return Taken::Went;
        };
        if data.trim_ascii() == b"[DONE]" {
            self.ended.insert(number);
            return Taken::Went;
        }
        let Some(mut payload) = answered(&data).filter(Value::is_object) else {
            // The policies let pass what cannot be read.
            out.extend_from_slice(&event.0);
            return Taken::Went;
        };
        if payload.get("error").is_some_and(|error| !error.is_null()) {
            write_event(out, &payload);
            return Taken::Error;
        }
        self.begin(&mut payload);
        let choices = payload.get_mut("choices").and_then(Value::as_array_mut);
        let choices = choices.map_or(&mut [][..], Vec::as_mut_slice);
        for choice in choices.iter_mut().filter(|choice| choice.is_object()) {
            choice["index"] = number.into();
        }
        if choices.is_empty() && payload["usage"].is_object() {
            self.use_of(number, &payload["usage"]);
            self.last.get_or_insert(payload);
        } else {
            write_event(out, &payload);
        }
        Taken::Went
    }

    /// Writes what ends the stream, where each of `answers` has come to its end.
    pub(super) fn finish(&mut self, answers: usize, out: &mut BytesMut) {
        if self.ended.len() < answers {
            return;
        }
        if let Some(mut last) = self.last.take() {
            last["usage"] = std::mem::take(&mut self.used).into();
            write_event(out, &last);
        }
        out.extend_from_slice(b"data: [DONE]\n\n");
    }

    /// Gives a chunk the names of the first one.
    fn begin(&mut self, payload: &mut Value) {
        for field in HEAD {
            match (self.head.get(field), payload.get_mut(field)) {
                (Some(first), Some(own)) => own.clone_from(first),
                (None, Some(own)) => drop(self.head.insert(field.to_owned(), own.clone())),
                (_, None) => {}
            }
        }
    }

    /// Adds what an answer has used. The tokens of a prompt count once.
    fn use_of(&mut self, number: usize, usage: &Value) {
        let Some(usage) = usage.as_object() else { return };
        let is_read = usage.get("prompt_tokens").and_then(Value::as_u64).unwrap_or_default() > 0;
        let counts_prompt = is_read && self.prompts.insert(number / self.per_prompt.max(1));
        for (name, own) in usage {
            if name != "total_tokens" && (counts_prompt || !name.starts_with("prompt_")) {
                add(self.used.entry(name.as_str()).or_insert(Value::Null), own);
            }
        }
        let used = |name: &str| self.used.get(name).and_then(Value::as_u64).unwrap_or_default();
        let total = used("prompt_tokens").saturating_add(used("completion_tokens"));
        self.used.insert("total_tokens".to_owned(), total.into());
    }
}

/// Adds numbers, also those within objects.
fn add(sum: &mut Value, own: &Value) {
    match (sum, own) {
        (Value::Object(sum), Value::Object(own)) => {
            for (name, own) in own {
                add(sum.entry(name.as_str()).or_insert(Value::Null), own);
            }
        }
        (sum, own) => match (sum.as_u64(), own.as_u64()) {
            (Some(before), Some(more)) => *sum = before.saturating_add(more).into(),
            _ if sum.is_null() => sum.clone_from(own),
            _ => {}
        },
    }
}

#[cfg(test)]
mod tests;
