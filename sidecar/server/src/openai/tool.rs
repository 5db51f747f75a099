//! Functions that a model may call, and its calls of them.

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error as _, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::fmt;

/// The field `type` of tools and calls: only functions are supported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) enum FunctionType {
    #[default]
    #[serde(rename = "function")]
    Function,
}

impl FunctionType {
    /// The types that there are, as an error about another one names them.
    pub(super) const VARIANTS: &'static [&'static str] = &["function"];
}

impl<'de> Deserialize<'de> for FunctionType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match String::deserialize(deserializer)?.as_str() {
            "function" => Ok(Self::Function),
            other => Err(D::Error::unknown_variant(other, Self::VARIANTS)),
        }
    }
}

/// A tool of the field `tools`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(expecting = "an object")]
pub(crate) struct ToolBody {
    #[serde(default)]
    pub(crate) r#type: FunctionType,
    pub(crate) function: FunctionBody,
}

/// The function of a tool.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(expecting = "an object")]
pub(crate) struct FunctionBody {
    pub(crate) name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) description: Option<String>,
    /// JSON Schema of an object.
    pub(crate) parameters: Option<Map<String, Value>>,
    #[serde(skip_serializing)]
    pub(crate) strict: Option<bool>,
}

/// The field `tool_choice`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum ToolChoiceBody {
    /// `none`, `auto` or `required`.
    Mode(String),
    /// One function.
    Named(NamedTool),
}

impl<'de> Deserialize<'de> for ToolChoiceBody {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ToolChoiceVisitor;
        impl<'de> Visitor<'de> for ToolChoiceVisitor {
            type Value = ToolChoiceBody;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a string or an object")
            }

            fn visit_str<E>(self, mode: &str) -> Result<ToolChoiceBody, E> {
                Ok(ToolChoiceBody::Mode(mode.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<ToolChoiceBody, A::Error> {
                NamedTool::deserialize(MapAccessDeserializer::new(fields))
                    .map(ToolChoiceBody::Named)
            }
        }
        deserializer.deserialize_any(ToolChoiceVisitor)
    }
}

/// A choice of one function.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(expecting = "an object")]
pub(crate) struct NamedTool {
    #[serde(rename = "type", default)]
    _type: FunctionType,
    pub(crate) function: NamedFunction,
}

/// The function that is chosen.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(expecting = "an object")]
pub(crate) struct NamedFunction {
    pub(crate) name: String,
}

/// A call in a response. In chunks it has its number.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct ToolCall {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) index: Option<usize>,
    pub(crate) id: String,
    pub(crate) r#type: FunctionType,
    pub(crate) function: CalledFunction,
}

/// What is called.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct CalledFunction {
    pub(crate) name: String,
    /// A JSON object, as text.
    pub(crate) arguments: String,
}

/// A call in a message of a request: what a model once wrote, as a client has kept it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(expecting = "an object")]
pub(crate) struct ToolCallBody {
    pub(crate) id: Option<String>,
    #[serde(rename = "type", default)]
    _type: FunctionType,
    pub(crate) function: CallOfFunction,
}

/// The function of such a call.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(expecting = "an object")]
pub(crate) struct CallOfFunction {
    pub(crate) name: String,
    /// A JSON object as text, as a rule.
    #[serde(default)]
    pub(crate) arguments: Value,
}
