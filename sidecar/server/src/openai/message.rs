//! Messages of a request.

use super::string_or_list::{Item, StringOrList};
use super::tool::ToolCallBody;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

/// A message of the field `messages`. Which fields it may have depends on its role.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub(crate) struct MessageBody {
    pub(crate) role: String,
    pub(crate) content: Option<Content>,
    pub(crate) tool_calls: Option<Vec<ToolCallBody>>,
    pub(crate) tool_call_id: Option<String>,
    /// Of the author: it changes nothing here.
    #[serde(rename = "name", default)]
    _name: Option<IgnoredAny>,
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
    pub(crate) kind: Option<String>,
    pub(crate) text: Option<String>,
    pub(crate) refusal: Option<String>,
}

impl From<Value> for Part {
    fn from(part: Value) -> Self {
        let field = |name| part.get(name).and_then(Value::as_str).map(str::to_owned);
        Self { kind: field("type"), text: field("text"), refusal: field("refusal") }
    }
}
