//! Messages of a request.

use super::string_or_list::{Item, StringOrList};
use super::tool::{CallOfFunction, ToolCallBody};
use serde::Deserialize;
use serde_json::{Map, Value};

/// A message of the field `messages`. Which fields mean something depends on its role; clients send
/// messages back as they came, with whatever else was in them.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(expecting = "an object")]
pub(crate) struct MessageBody {
    pub(crate) role: String,
    pub(crate) content: Option<Content>,
    pub(crate) tool_calls: Option<Vec<ToolCallBody>>,
    /// The older form of one call.
    pub(crate) function_call: Option<CallOfFunction>,
    pub(crate) tool_call_id: Option<String>,
    /// Of the author, or of the function whose result this is.
    pub(crate) name: Option<Value>,
    pub(crate) refusal: Option<Value>,
    pub(crate) reasoning_content: Option<Value>,
    /// vLLM's newer name of the same.
    pub(crate) reasoning: Option<Value>,
}

/// The content of a message.
pub(crate) type Content = StringOrList<Part>;

impl Item for Part {
    const PLURAL: &'static str = "text parts";
}

/// A part of a message's content. Anything can stand there; what it is, is asked afterwards.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(from = "Value")]
pub(crate) struct Part {
    kind: Option<String>,
    text: Option<String>,
    refusal: Option<String>,
}

/// What a part is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PartKind {
    Text(String),
    /// What a model thought before it said something.
    Reasoning,
    /// A part of text that has none.
    Empty,
    /// An image, a sound, a file.
    Other,
}

impl From<Value> for Part {
    fn from(part: Value) -> Self {
        let field = |name| part.get(name).and_then(Value::as_str).map(str::to_owned);
        match part {
            // As vLLM takes it.
            Value::String(text) => Self { text: Some(text), ..Self::default() },
            _ => Self { kind: field("type"), text: field("text"), refusal: field("refusal") },
        }
    }
}

impl Part {
    pub(crate) fn into_kind(self) -> PartKind {
        match self.kind.as_deref() {
            None | Some("text" | "input_text" | "output_text") => {
                self.text.map_or(PartKind::Empty, PartKind::Text)
            }
            // What the assistant said in place of an answer.
            Some("refusal") => PartKind::Text(self.refusal.unwrap_or_default()),
            Some("thinking" | "redacted_thinking" | "reasoning") => PartKind::Reasoning,
            Some(_) => PartKind::Other,
        }
    }
}

/// Arguments of an earlier call as the object that templates want, which servers make of their
/// text. Text that holds none stays as it is: models write such, and their clients send it back.
pub(crate) fn arguments(value: Value) -> Value {
    let text = match value {
        Value::String(text) => text,
        Value::Null => return Map::new().into(),
        value => return value,
    };
    if text.trim().is_empty() {
        return Map::new().into();
    }
    match serde_json::from_str(&text) {
        Ok(Value::Object(fields)) => Value::Object(fields),
        _ => Value::String(text),
    }
}
