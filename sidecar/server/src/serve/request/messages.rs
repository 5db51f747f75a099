//! The field `messages`.

use super::fields::{Fields, missing, unsupported, wrong_type};
use super::tools;
use crate::serve::error::ApiError;
use serde_json::{Value, json};
use std::collections::HashMap;

/// Calls in one message at most.
const MAX_CALLS: usize = 128;
/// Longest id of a call in bytes.
const MAX_ID: usize = 256;

/// Names of the functions that were called so far, by the ids of the calls.
type Called = HashMap<String, String>;

/// Reads the field: messages as chat templates know them.
pub(super) fn messages(value: Value) -> Result<Vec<Value>, ApiError> {
    let Value::Array(messages) = value else {
        return Err(wrong_type("messages".to_owned(), "an array of objects", &value));
    };
    if messages.is_empty() {
        let message = "Invalid 'messages': empty array. Expected at least one message.";
        return Err(ApiError::invalid("messages", "empty_array", message));
    }
    let mut called = Called::new();
    let read =
        |(index, value)| message(Fields::of(value, format!("messages[{index}]"))?, &mut called);
    messages.into_iter().enumerate().map(read).collect()
}

fn message(mut fields: Fields, called: &mut Called) -> Result<Value, ApiError> {
    let role = fields.text("role")?.ok_or_else(|| missing(&fields.name("role")))?;
    let content = match fields.take("content") {
        None => None,
        Some(content) => Some(text(fields.name("content"), content)?),
    };
    let message = match (role.as_str(), content) {
        // Templates know `system`; `developer` is its newer name.
        ("developer" | "system", Some(content)) => json!({ "role": "system", "content": content }),
        ("user", Some(content)) => json!({ "role": "user", "content": content }),
        ("assistant", content) => assistant(&mut fields, content, called)?,
        ("tool", Some(content)) => result(&mut fields, &content, called)?,
        ("developer" | "system" | "user" | "tool", None) => {
            return Err(missing(&fields.name("content")));
        }
        ("function", _) => {
            let message =
                "Role 'function' is not supported by this server: give 'tools' and role 'tool'.";
            return Err(unsupported(fields.name("role"), message));
        }
        _ => {
            let param = fields.name("role");
            let message = format!(
                "Invalid '{param}': must be one of system, developer, user, assistant and tool."
            );
            return Err(ApiError::invalid(param, "invalid_value", message));
        }
    };
    fields.take("name");
    match fields.first() {
        None => Ok(message),
        Some(param) => {
            let message = format!("'{param}' is not supported by this server.");
            Err(unsupported(param, &message))
        }
    }
}

/// What the model said, and called.
fn assistant(
    fields: &mut Fields,
    content: Option<String>,
    called: &mut Called,
) -> Result<Value, ApiError> {
    let path = fields.name("tool_calls");
    let calls = match fields.take("tool_calls") {
        None => Vec::new(),
        Some(Value::Array(calls)) if calls.len() <= MAX_CALLS => calls,
        Some(Value::Array(_)) => {
            let message = format!("Invalid '{path}': at most {MAX_CALLS} calls.");
            return Err(ApiError::invalid(path, "array_above_max_length", message));
        }
        Some(other) => return Err(wrong_type(path, "an array of objects", &other)),
    };
    if calls.is_empty() {
        let content = content.ok_or_else(|| missing(&fields.name("content")))?;
        return Ok(json!({ "role": "assistant", "content": content }));
    }
    let read = |(index, value)| call(Fields::of(value, format!("{path}[{index}]"))?, called);
    let calls = calls.into_iter().enumerate().map(read).collect::<Result<Vec<_>, _>>()?;
    // A template would print `none`.
    Ok(json!({ "role": "assistant", "content": content.unwrap_or_default(), "tool_calls": calls }))
}

/// A call, with its arguments as the object that templates want.
fn call(mut fields: Fields, called: &mut Called) -> Result<Value, ApiError> {
    let id = id(&mut fields, "id")?;
    tools::kind(&mut fields)?;
    let mut function =
        fields.object("function")?.ok_or_else(|| missing(&fields.name("function")))?;
    fields.take("index");
    fields.done()?;
    let name = function.identifier()?;
    let path = function.name("arguments");
    let text = function.text("arguments")?.ok_or_else(|| missing(&path))?;
    function.done()?;
    let Ok(arguments @ Value::Object(_)) = serde_json::from_str(&text) else {
        let message = format!("Invalid '{path}': must be a JSON object, as text.");
        return Err(ApiError::invalid(path, "invalid_value", message));
    };
    called.insert(id.clone(), name.clone());
    Ok(
        json!({ "id": id, "type": "function", "function": { "name": name, "arguments": arguments } }),
    )
}

/// What a call gave.
fn result(fields: &mut Fields, content: &str, called: &Called) -> Result<Value, ApiError> {
    let id = id(fields, "tool_call_id")?;
    let Some(name) = called.get(&id) else {
        let param = fields.name("tool_call_id");
        let message = format!(
            "Invalid '{param}': no message before it has a call of this id in its 'tool_calls'."
        );
        return Err(ApiError::invalid(param, "invalid_value", message));
    };
    Ok(json!({ "role": "tool", "content": content, "tool_call_id": id, "name": name }))
}

fn id(fields: &mut Fields, field: &str) -> Result<String, ApiError> {
    let path = fields.name(field);
    match fields.text(field)? {
        None => Err(missing(&path)),
        Some(id) if (1..=MAX_ID).contains(&id.len()) => Ok(id),
        Some(_) => {
            let message = format!("Invalid '{path}': 1 to {MAX_ID} bytes.");
            Err(ApiError::invalid(path, "invalid_value", message))
        }
    }
}

fn text(param: String, value: Value) -> Result<String, ApiError> {
    match value {
        Value::String(text) => Ok(text),
        Value::Array(parts) => parts
            .into_iter()
            .enumerate()
            .map(|(index, part)| text_part(format!("{param}[{index}]"), &part))
            .collect(),
        other => Err(wrong_type(param, "a string or an array of text parts", &other)),
    }
}

fn text_part(at: String, part: &Value) -> Result<String, ApiError> {
    match (part.get("type").and_then(Value::as_str), part.get("text").and_then(Value::as_str)) {
        (Some("text"), Some(text)) => Ok(text.to_owned()),
        (Some("text"), None) | (None, _) => {
            let message = format!("Invalid '{at}': expected {{\"type\": \"text\", \"text\": …}}.");
            Err(ApiError::invalid(at, "invalid_value", message))
        }
        (Some(_), _) => Err(unsupported(
            at,
            "Only text is supported by this server: no images, audio or files.",
        )),
    }
}
