//! Events and bodies of OpenAI's `responses`. They have one choice. Several events repeat what
//! others said: a text is scored when it first stands there.

use super::naming::{Naming, call_reference, reference};
use super::usage::USAGE;
use super::{ChoiceDelta, Finish, Unreadable, error};
use crate::proxy::shape::Shape;
use serde_json::{Map, Value, json};

const STATUS: Shape =
    Shape::Word(&["queued", "in_progress", "completed", "incomplete", "failed", "cancelled"]);

/// What the texts of one payload add to what was said before.
struct Fresh<'a> {
    is_known: &'a dyn Fn(&str) -> bool,
    delta: ChoiceDelta,
    /// It repeats a text that was said before.
    repeats: bool,
}

impl Fresh<'_> {
    /// A text that may repeat what was said.
    fn repeat(&mut self, value: &Value, is_reasoning: bool) -> Result<Value, Unreadable> {
        match value {
            Value::Null => Ok(Value::Null),
            Value::String(text) => {
                if (self.is_known)(text) || is_repeated(&self.delta.text, text) {
                    self.repeats |= !text.is_empty();
                } else {
                    self.delta.say(text, is_reasoning);
                }
                Ok(value.clone())
            }
            _ => Err(Unreadable("a part of the answer is not text")),
        }
    }
}

/// Shortest part of what was said that counts as said when it stands alone, in bytes: of shorter
/// ones, other texts could be put together.
const MIN_REPEATED: usize = 16;

/// Whether a text repeats what was said before: its end, or a long part of it.
pub(in crate::proxy) fn is_repeated(said: &str, text: &str) -> bool {
    said.ends_with(text) || (text.len() >= MIN_REPEATED && said.contains(text))
}

/// Reads one event of a stream. Events that are not known, such as the progress of a search, stay
/// behind.
pub(super) fn event(
    naming: &Naming,
    fields: &mut Map<String, Value>,
    is_known: &dyn Fn(&str) -> bool,
) -> Result<Vec<ChoiceDelta>, Unreadable> {
    let kind = fields.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
    let Some(name) = kind.strip_prefix("response.").or((kind == "error").then_some("error")) else {
        return Err(Unreadable("an event is not one of `responses`"));
    };
    let mut fresh = Fresh { is_known, delta: ChoiceDelta::default(), repeats: false };
    let mut kept = Map::new();
    kept.insert("type".to_owned(), kind.clone().into());
    for (field, shape) in [
        ("sequence_number", Shape::Number),
        ("output_index", Shape::Number),
        ("content_index", Shape::Number),
        ("summary_index", Shape::Number),
    ] {
        if let Some(value) = fields.remove(field) {
            kept.insert(field.to_owned(), shape.of(value));
        }
    }
    if let Some(id) = fields.remove("item_id") {
        kept.insert("item_id".to_owned(), reference(&id));
    }
    let mut field = |name: &str| fields.remove(name).unwrap_or_default();
    match name {
        "created" | "queued" | "in_progress" | "completed" | "incomplete" | "failed"
        | "cancelled" => {
            let so_far = field("response");
            // llama.cpp's server leaves it out where there is none yet.
            if matches!(name, "completed" | "incomplete") {
                has_output(&so_far)?;
            }
            let response = response(naming, so_far, &mut fresh)?;
            kept.insert("response".to_owned(), response);
            fresh.delta.finish = match name {
                "completed" => Some(Finish::Stop),
                "incomplete" => Some(Finish::Length),
                _ => None,
            };
        }
        "output_item.added" | "output_item.done" => {
            kept.insert("item".to_owned(), item(field("item"), &mut fresh)?);
        }
        "content_part.added"
        | "content_part.done"
        | "reasoning_summary_part.added"
        | "reasoning_summary_part.done"
        | "reasoning_part.added"
        | "reasoning_part.done" => {
            kept.insert("part".to_owned(), part(&field("part"), &mut fresh)?);
        }
        "output_text.delta"
        | "refusal.delta"
        | "reasoning_text.delta"
        | "reasoning_summary_text.delta"
        | "function_call_arguments.delta"
        | "custom_tool_call_input.delta" => {
            let Value::String(text) = field("delta") else {
                return Err(Unreadable("an event adds what is not text"));
            };
            fresh.delta.say(&text, name.starts_with("reasoning"));
            fresh.delta.is_whole = name.contains("call");
            kept.insert("delta".to_owned(), text.into());
        }
        "output_text.done"
        | "refusal.done"
        | "reasoning_text.done"
        | "reasoning_summary_text.done"
        | "function_call_arguments.done"
        | "custom_tool_call_input.done" => {
            for said in ["text", "refusal", "name", "arguments", "input"] {
                let value = field(said);
                if !value.is_null() {
                    kept.insert(
                        said.to_owned(),
                        fresh.repeat(&value, name.starts_with("reasoning"))?,
                    );
                }
            }
        }
        "error" => {
            let withheld = error::withheld(&json!({ "code": field("code") }), None);
            for field in ["message", "code", "param"] {
                kept.insert(field.to_owned(), withheld[field].clone());
            }
        }
        _ => kept.clear(),
    }
    *fields = kept;
    let is_silent = fresh.delta == ChoiceDelta::default();
    // What repeats a text waits until all of it was scored.
    let waits = !is_silent || fresh.repeats || name.ends_with(".done");
    Ok(if waits { vec![fresh.delta] } else { Vec::new() })
}

/// Reads a whole body.
pub(super) fn whole(
    naming: &Naming,
    fields: &mut Map<String, Value>,
    is_known: &dyn Fn(&str) -> bool,
) -> Result<Vec<ChoiceDelta>, Unreadable> {
    if !fields.contains_key("output") && fields.get("error").is_some_and(|error| !error.is_null()) {
        let error = error::withheld(&fields["error"], None);
        *fields = Map::from_iter([("error".to_owned(), error)]);
        return Ok(Vec::new());
    }
    let mut fresh = Fresh { is_known, delta: ChoiceDelta::default(), repeats: false };
    let whole = Value::Object(std::mem::take(fields));
    has_output(&whole)?;
    let whole = response(naming, whole, &mut fresh)?;
    if let Value::Object(kept) = whole {
        *fields = kept;
    }
    fresh.delta.finish = Some(match fields.get("status").and_then(Value::as_str) {
        Some("incomplete") => Finish::Length,
        _ => Finish::Stop,
    });
    Ok(vec![fresh.delta])
}

fn has_output(response: &Value) -> Result<(), Unreadable> {
    match &response["output"] {
        Value::Array(_) => Ok(()),
        _ => Err(Unreadable("a response has no output")),
    }
}

/// A response as it may leave. Of what the request said, only what clients insist on stays.
fn response(naming: &Naming, response: Value, fresh: &mut Fresh<'_>) -> Result<Value, Unreadable> {
    let Value::Object(fields) = response else {
        return Err(Unreadable("a response is not an object"));
    };
    let mut kept = Map::new();
    for (name, value) in fields {
        let value = match name.as_str() {
            "id" => naming.id(value),
            "model" => naming.model(value),
            "object" => json!("response"),
            "status" => STATUS.of(value),
            "output" => {
                let Value::Array(items) = value else { continue };
                let items = items.into_iter().map(|value| item(value, fresh));
                Value::Array(items.collect::<Result<_, _>>()?)
            }
            "usage" => USAGE.of(value),
            "error" if !value.is_null() => error::withheld(&value, None),
            "incomplete_details" => {
                const REASON: Shape = Shape::Word(&["max_output_tokens", "content_filter"]);
                Shape::Object(&[("reason", REASON)]).of(value)
            }
            "created_at" | "completed_at" | "temperature" | "top_p" | "max_output_tokens" => {
                Shape::Number.of(value)
            }
            "parallel_tool_calls" | "store" | "background" => Shape::Flag.of(value),
            "tools" => json!([]),
            "tool_choice" => Shape::Word(&["auto", "none", "required"]).of(value),
            "instructions" | "error" | "previous_response_id" => Value::Null,
            "metadata" => json!({}),
            _ => continue,
        };
        kept.insert(name, value);
    }
    Ok(Value::Object(kept))
}

/// An item of the output as it may leave.
fn item(item: Value, fresh: &mut Fresh<'_>) -> Result<Value, Unreadable> {
    let Value::Object(fields) = item else {
        return Err(Unreadable("an item of the output is not an object"));
    };
    const TYPES: [&str; 4] = ["message", "reasoning", "function_call", "custom_tool_call"];
    let kind = fields.get("type").and_then(Value::as_str).unwrap_or_default();
    if !TYPES.contains(&kind) {
        return Err(Unreadable("an item of the output is not text"));
    }
    fresh.delta.is_whole |= kind.ends_with("call");
    let function = fields.get("name").and_then(Value::as_str).map(str::to_owned);
    let mut kept = Map::new();
    for (name, value) in fields {
        let value = match name.as_str() {
            "type" => value,
            "id" => reference(&value),
            "call_id" => call_reference(&value, function.as_deref()),
            "role" => json!("assistant"),
            "status" => STATUS.of(value),
            "name" | "arguments" | "input" => fresh.repeat(&value, false)?,
            "content" | "summary" => match value {
                Value::Array(parts) => {
                    let parts = parts.iter().map(|value| part(value, fresh));
                    Value::Array(parts.collect::<Result<_, _>>()?)
                }
                Value::Null => Value::Null,
                _ => return Err(Unreadable("the content of an item is not a list")),
            },
            _ => continue,
        };
        kept.insert(name, value);
    }
    Ok(Value::Object(kept))
}

/// A part of an item's content as it may leave.
fn part(part: &Value, fresh: &mut Fresh<'_>) -> Result<Value, Unreadable> {
    let kind = part["type"].as_str().unwrap_or_default();
    match kind {
        "output_text" => {
            let text = fresh.repeat(&part["text"], false)?;
            Ok(json!({ "type": kind, "text": text, "annotations": [] }))
        }
        "reasoning_text" | "summary_text" | "text" => {
            // A bare text is called nothing.
            let text = fresh.repeat(&part["text"], kind != "text")?;
            Ok(json!({ "type": kind, "text": text }))
        }
        "refusal" => Ok(json!({ "type": kind, "refusal": fresh.repeat(&part["refusal"], false)? })),
        _ => Err(Unreadable("a part of the answer is not text")),
    }
}
