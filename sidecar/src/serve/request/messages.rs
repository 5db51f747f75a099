//! The field `messages`.

use super::fields::{missing, unsupported, wrong_type};
use crate::serve::error::ApiError;
use serde_json::{Value, json};

/// Reads the field.
pub(super) fn messages(value: Value) -> Result<Vec<Value>, ApiError> {
    let Value::Array(messages) = value else {
        return Err(wrong_type("messages".to_owned(), "an array of objects", &value));
    };
    if messages.is_empty() {
        let message = "Invalid 'messages': empty array. Expected at least one message.";
        return Err(ApiError::invalid("messages", "empty_array", message));
    }
    messages.into_iter().enumerate().map(|(index, value)| message(index, value)).collect()
}

fn message(index: usize, value: Value) -> Result<Value, ApiError> {
    let at = format!("messages[{index}]");
    let Value::Object(mut fields) = value else { return Err(wrong_type(at, "an object", &value)) };
    fields.retain(|_, value| !value.is_null());
    let role = match fields.remove("role") {
        None => return Err(missing(&format!("{at}.role"))),
        Some(Value::String(role)) => role,
        Some(other) => return Err(wrong_type(format!("{at}.role"), "a string", &other)),
    };
    // Chat templates know `system`; `developer` is its newer name.
    let role = match role.as_str() {
        "developer" | "system" => "system",
        "user" => "user",
        "assistant" => "assistant",
        "tool" | "function" => {
            return Err(unsupported(format!("{at}.role"), "Tools are not supported by this server."));
        }
        _ => {
            let message = format!("Invalid '{at}.role': must be one of system, developer, user and assistant.");
            return Err(ApiError::invalid(format!("{at}.role"), "invalid_value", message));
        }
    };
    let content = content(&at, fields.remove("content"))?;
    fields.remove("name");
    if let Some(field) = fields.keys().next() {
        let (param, message) = (format!("{at}.{field}"), format!("'{at}.{field}' is not supported by this server."));
        return Err(unsupported(param, &message));
    }
    Ok(json!({ "role": role, "content": content }))
}

fn content(at: &str, value: Option<Value>) -> Result<String, ApiError> {
    let param = format!("{at}.content");
    match value {
        None => Err(missing(&param)),
        Some(Value::String(text)) => Ok(text),
        Some(Value::Array(parts)) => {
            parts.into_iter().enumerate().map(|(index, part)| text_part(format!("{param}[{index}]"), &part)).collect()
        }
        Some(other) => Err(wrong_type(param, "a string or an array of text parts", &other)),
    }
}

fn text_part(at: String, part: &Value) -> Result<String, ApiError> {
    match (part.get("type").and_then(Value::as_str), part.get("text").and_then(Value::as_str)) {
        (Some("text"), Some(text)) => Ok(text.to_owned()),
        (Some("text"), None) | (None, _) => {
            let message = format!("Invalid '{at}': expected {{\"type\": \"text\", \"text\": …}}.");
            Err(ApiError::invalid(at, "invalid_value", message))
        }
        (Some(_), _) => Err(unsupported(at, "Only text is supported by this server: no images, audio or files.")),
    }
}
