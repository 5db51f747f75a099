//! What a message says: content, reasoning, refusals and calls.

use super::tool_calls;
use super::{ChoiceDelta, Unreadable};
use crate::proxy::shape::Shape;
use serde_json::{Map, Value, json};

/// The texts of a message, each by what it is. They are scored in the order in which models write
/// them, whatever order the fields have.
#[derive(Debug, Default)]
pub(super) struct Said {
    /// Distinct texts: servers tell one reasoning in two or three fields.
    reasoning: Vec<String>,
    content: String,
    refusal: String,
    calls: String,
    is_whole: bool,
}

impl Said {
    /// Adds all of it to what a choice says.
    pub(super) fn add_to(self, delta: &mut ChoiceDelta) {
        delta.say(&self.reasoning.concat(), true);
        delta.say(&(self.content + &self.refusal + &self.calls), false);
        delta.is_whole = self.is_whole;
    }

    /// Its content alone.
    pub(super) fn content(&self) -> &str {
        &self.content
    }

    /// Takes the text of a choice that has no message. Gives it as it may leave.
    pub(super) fn text(&mut self, value: Value) -> Result<Value, Unreadable> {
        let value = text(value, Unreadable("the text of a choice is none"))?;
        self.content.push_str(value.as_str().unwrap_or_default());
        Ok(value)
    }

    /// Takes what a message, or what a chunk adds to one, says. Gives it as it may leave.
    pub(super) fn message(&mut self, message: Value) -> Result<Value, Unreadable> {
        let fields = match message {
            Value::Null => return Ok(Value::Null),
            Value::Object(fields) => fields,
            _ => return Err(Unreadable("a message is not an object")),
        };
        let mut kept = Map::new();
        for (name, value) in fields {
            let value = match name.as_str() {
                "role" => json!("assistant"),
                "content" => self.parts(value)?,
                "reasoning" | "reasoning_content" | "reasoning_text" | "thinking" => {
                    let value = text(value, Unreadable("the reasoning of an answer is not text"))?;
                    self.reason(value.as_str().unwrap_or_default());
                    value
                }
                "reasoning_details" => self.details(value),
                "refusal" => {
                    let value = text(value, Unreadable("the refusal of an answer is not text"))?;
                    self.refusal.push_str(value.as_str().unwrap_or_default());
                    value
                }
                "tool_calls" | "function_call" if !is_empty(&value) => {
                    self.is_whole = true;
                    tool_calls::read(&name, value, &mut self.calls)?
                }
                "tool_calls" | "function_call" => value,
                "annotations" if value.is_array() => json!([]),
                "audio" | "image" | "images" | "image_url" | "video" if !is_empty(&value) => {
                    return Err(Unreadable("a part of the answer is not text"));
                }
                _ => continue,
            };
            kept.insert(name, value);
        }
        Ok(Value::Object(kept))
    }

    fn reason(&mut self, text: &str) {
        if !text.is_empty() && !self.reasoning.iter().any(|known| known == text) {
            self.reasoning.push(text.to_owned());
        }
    }

    fn parts(&mut self, content: Value) -> Result<Value, Unreadable> {
        match content {
            Value::Null => Ok(Value::Null),
            Value::String(text) => {
                self.content.push_str(&text);
                Ok(Value::String(text))
            }
            Value::Array(parts) => {
                let parts = parts.into_iter().map(|part| self.part(part));
                Ok(Value::Array(parts.collect::<Result<_, _>>()?))
            }
            _ => Err(Unreadable("the content of an answer is not text")),
        }
    }

    /// One part of a content that is a list.
    fn part(&mut self, mut part: Value) -> Result<Value, Unreadable> {
        let odd = Unreadable("a part of the answer is not text");
        let kind = part.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
        let field = match kind.as_str() {
            "text" | "output_text" | "reasoning" => "text",
            "refusal" => "refusal",
            "thinking" => "thinking",
            _ => return Err(odd),
        };
        let said = part.get_mut(field).map(Value::take).unwrap_or_default();
        let said = match said {
            // Some servers nest the parts of what was thought.
            Value::Array(parts) => {
                let parts = parts.into_iter().map(|part| self.part(part));
                Value::Array(parts.collect::<Result<_, _>>()?)
            }
            said => {
                let said = text(said, odd)?;
                let words = said.as_str().unwrap_or_default();
                match field {
                    "thinking" => self.reason(words),
                    "refusal" => self.refusal.push_str(words),
                    _ => self.content.push_str(words),
                }
                said
            }
        };
        Ok(json!({ "type": kind, field: said }))
    }

    /// Reasoning in parts. What is encrypted, or of another kind, stays behind.
    fn details(&mut self, details: Value) -> Value {
        const TYPES: Shape = Shape::Word(&["reasoning.text", "reasoning.summary"]);
        let Value::Array(details) = details else { return Value::Null };
        let (mut kept, mut all) = (Vec::new(), String::new());
        for detail in details {
            let field = |name: &str| detail.get(name).cloned().unwrap_or_default();
            let mut part = Map::new();
            part.insert("type".to_owned(), TYPES.of(field("type")));
            part.insert("index".to_owned(), Shape::Number.of(field("index")));
            for field in ["text", "summary"] {
                if let Some(text) = detail.get(field).and_then(Value::as_str) {
                    all.push_str(text);
                    part.insert(field.to_owned(), text.into());
                }
            }
            kept.push(Value::Object(part));
        }
        self.reason(&all);
        Value::Array(kept)
    }
}

fn text(value: Value, otherwise: Unreadable) -> Result<Value, Unreadable> {
    if value.is_null() || value.is_string() { Ok(value) } else { Err(otherwise) }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(values) => values.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    }
}

/// Cuts what a choice says after its first `keep` bytes, puts `then` after them, and drops the log
/// probabilities. False, and nothing changed, where it says anything but plain content.
pub(in crate::proxy) fn shorten(choice: &mut Value, keep: usize, then: &str) -> bool {
    let Some((place, content)) = plain(choice) else { return false };
    let Some(kept) = content.get(..keep) else { return false };
    if let Some(content) = choice.pointer_mut(place) {
        *content = format!("{kept}{then}").into();
    }
    if let Some(logprobs) = choice.get_mut("logprobs") {
        *logprobs = Value::Null;
    }
    true
}

/// Where a choice has its content, and the content, where it says nothing else.
fn plain(choice: &Value) -> Option<(&'static str, String)> {
    let mut said = Said::default();
    for place in ["delta", "message"] {
        said.message(choice.get(place).cloned().unwrap_or_default()).ok()?;
    }
    said.text(choice.get("text").cloned().unwrap_or_default()).ok()?;
    let mut delta = ChoiceDelta::default();
    said.add_to(&mut delta);
    let ChoiceDelta { text, is_whole, .. } = delta;
    let is_all = |place: &&str| choice.pointer(place).and_then(Value::as_str) == Some(&text);
    let place = ["/delta/content", "/message/content", "/text"].into_iter().find(is_all)?;
    (!is_whole).then_some((place, text))
}
