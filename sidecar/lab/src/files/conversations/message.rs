//! Messages, by whatever names data sets give to roles and fields.

use super::content;
use serde_json::{Map, Value, json};

/// Names of the field with the role.
const ROLE: [&str; 2] = ["role", "from"];
/// Names of the field with the text.
const CONTENT: [&str; 4] = ["content", "value", "text", "refusal"];
/// Names of the field that is 0 or false in answers that are not to be learned.
const LEARNED: [&str; 4] = ["weight", "train", "training", "loss"];

/// A message as chat templates know them.
pub(super) struct Message {
    pub(super) value: Value,
    /// Whether training is to learn it, if it is an answer.
    pub(super) is_learned: bool,
}

impl Message {
    /// Reads a message.
    ///
    /// # Errors
    /// What it lacks. The text continues a sentence whose subject is the message.
    pub(super) fn read(message: &Value) -> Result<Self, String> {
        let Value::Object(fields) = message else {
            return Err(
                "is not an object with \"role\" and \"content\": write it as one".to_owned()
            );
        };
        let field = |names: &[&str]| {
            let found = names.iter().filter_map(|name| fields.get(*name));
            let set = found.clone().find(|value| !value.is_null());
            set.or(found.clone().next())
        };
        let name = field(&ROLE).and_then(Value::as_str).ok_or(NO_ROLE)?;
        let role = Role::of(name).ok_or(
            "has a role that is none of system, developer, user, human, assistant, gpt, model, \
             tool, function and their like: rename it to one of these",
        )?;
        let calls = calls(fields)?;
        let has_content = field(&CONTENT).is_some();
        if !has_content && calls.is_empty() {
            let what = "has no content: give it a text as \"content\", or leave the message out";
            return Err(what.to_owned());
        }
        let mut text = content::text(field(&CONTENT).unwrap_or(&Value::Null))?;
        let mut value = Map::new();
        value.insert("role".to_owned(), role.name().into());
        match role {
            Role::Call => {
                if let Some(calls) = called(&text) {
                    text.clear();
                    value.insert("tool_calls".to_owned(), calls.into());
                }
            }
            Role::Assistant if !calls.is_empty() => {
                value.insert("tool_calls".to_owned(), calls.into());
            }
            Role::Assistant => {
                for key in ["reasoning_content", "reasoning"] {
                    if let Some(Value::String(reasoning)) = fields.get(key) {
                        value.insert("reasoning_content".to_owned(), reasoning.as_str().into());
                    }
                }
            }
            Role::Tool => {
                for key in ["name", "tool_call_id"] {
                    if let Some(Value::String(name)) = fields.get(key) {
                        value.insert(key.to_owned(), name.as_str().into());
                    }
                }
            }
            Role::System | Role::User => {}
        }
        value.insert("content".to_owned(), text.into());
        Ok(Self { value: value.into(), is_learned: is_learned(fields)? })
    }

    /// Whether the assistant wrote it.
    pub(super) fn is_assistant(&self) -> bool {
        self.value["role"] == "assistant"
    }
}

#[derive(Clone, Copy)]
enum Role {
    System,
    User,
    Assistant,
    /// What a function returned.
    Tool,
    /// A turn of its own in which the assistant calls functions.
    Call,
}

impl Role {
    fn of(name: &str) -> Option<Self> {
        Some(match name.trim().to_lowercase().as_str() {
            "system" | "developer" => Self::System,
            "user" | "human" | "prompter" | "customer" => Self::User,
            "assistant" | "gpt" | "chatgpt" | "bot" | "bing" | "bard" | "model" | "ai"
            | "agent" => Self::Assistant,
            "tool" | "function" | "function_response" | "tool_response" | "observation"
            | "ipython" => Self::Tool,
            "function_call" | "tool_call" => Self::Call,
            _ => return None,
        })
    }

    /// Its name in chat templates.
    fn name(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant | Self::Call => "assistant",
            Self::Tool => "tool",
        }
    }
}

/// Whether an answer is to be learned, as it is unless a field says no.
fn is_learned(fields: &Map<String, Value>) -> Result<bool, String> {
    for key in LEARNED {
        match fields.get(key) {
            None | Some(Value::Null) => {}
            Some(Value::Bool(learned)) => return Ok(*learned),
            Some(Value::Number(number)) if key == "weight" => match number.as_f64() {
                Some(0.0) => return Ok(false),
                Some(weight) if weight > 0.0 => return Ok(true),
                _ => {
                    let what = "has a negative weight: 0 leaves an answer out, 1 keeps it";
                    return Err(what.to_owned());
                }
            },
            Some(_) if key == "weight" => {
                return Err("has a weight that is no number: give 0 or 1".to_owned());
            }
            Some(_) => {}
        }
    }
    Ok(true)
}

/// The functions that a message calls, newer and older spelling.
fn calls(fields: &Map<String, Value>) -> Result<Vec<Value>, String> {
    let listed = match fields.get("tool_calls") {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(calls)) => {
            calls.iter().map(call).collect::<Option<_>>().ok_or(UNNAMED)?
        }
        Some(Value::String(text)) if text.trim().is_empty() => Vec::new(),
        Some(Value::String(text)) => {
            called(text).ok_or("has tool_calls that are not JSON: write them as a list of calls")?
        }
        Some(_) => {
            return Err("has tool_calls that are not a list: give a list of calls".to_owned());
        }
    };
    match fields.get("function_call") {
        Some(older @ Value::Object(_)) if listed.is_empty() => {
            Ok(vec![call(older).ok_or(UNNAMED)?])
        }
        _ => Ok(listed),
    }
}

const NO_ROLE: &str =
    "has no role: give it \"role\", which is \"system\", \"user\", \"assistant\" or \"tool\"";
const UNNAMED: &str = "has a call without a function's name: give it {\"function\": {\"name\": …}}";

/// Calls that are written as the text of a turn.
fn called(text: &str) -> Option<Vec<Value>> {
    match serde_json::from_str(text).ok()? {
        Value::Array(calls) => calls.iter().map(call).collect(),
        one => Some(vec![call(&one)?]),
    }
}

/// A call as templates know it, with its arguments as an object. Arguments that are not JSON stay
/// a text.
fn call(call: &Value) -> Option<Value> {
    let function = call.get("function").filter(|function| function.is_object()).unwrap_or(call);
    let name = function.get("name")?.as_str()?;
    let arguments = match function.get("arguments").or(function.get("parameters")) {
        None | Some(Value::Null) => json!({}),
        Some(Value::String(text)) if text.trim().is_empty() => json!({}),
        Some(Value::String(text)) => match serde_json::from_str(text) {
            Ok(arguments @ Value::Object(_)) => arguments,
            _ => text.as_str().into(),
        },
        Some(other) => other.clone(),
    };
    let mut read =
        json!({ "type": "function", "function": { "name": name, "arguments": arguments } });
    if let Some(Value::String(id)) = call.get("id") {
        read["id"] = id.as_str().into();
    }
    Some(read)
}
