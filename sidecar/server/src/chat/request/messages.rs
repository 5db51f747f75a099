//! The field `messages`: as chat templates know them.

use crate::http::ApiError;
use crate::openai::{
    Content, MessageBody, Part, StringOrList, ToolCallBody, identifier, invalid, missing,
    unsupported,
};
use serde_json::{Value, json};
use std::collections::HashMap;

/// Calls in one message at most.
const MAX_CALLS: usize = 128;
/// Longest id of a call in bytes.
const MAX_ID: usize = 256;

/// Names of the functions that were called so far, by the ids of the calls.
type CalledFunctions = HashMap<String, String>;

pub(super) fn check(messages: Vec<MessageBody>) -> Result<Vec<Value>, ApiError> {
    if messages.is_empty() {
        let message = "Invalid 'messages': empty array. Expected at least one message.";
        return Err(ApiError::invalid("messages", "empty_array", message));
    }
    let mut called = CalledFunctions::new();
    let check =
        |(index, message)| check_message(&format!("messages[{index}]"), message, &mut called);
    messages.into_iter().enumerate().map(check).collect()
}

fn check_message(
    path: &str,
    message: MessageBody,
    called: &mut CalledFunctions,
) -> Result<Value, ApiError> {
    let at = |field: &str| format!("{path}.{field}");
    let MessageBody { role, content, tool_calls, tool_call_id, .. } = message;
    let content = content.map(|content| text(&at("content"), content)).transpose()?;
    let is_assistant = role == "assistant";
    let extra = (tool_calls.is_some() && !is_assistant)
        .then_some("tool_calls")
        .or((tool_call_id.is_some() && role != "tool").then_some("tool_call_id"));
    let message = match (role.as_str(), content) {
        // Templates know `system`; `developer` is its newer name.
        ("developer" | "system", Some(content)) => json!({ "role": "system", "content": content }),
        ("user", Some(content)) => json!({ "role": "user", "content": content }),
        ("assistant", content) => assistant(path, content, tool_calls.unwrap_or_default(), called)?,
        ("tool", Some(content)) => tool_result(path, &content, tool_call_id, called)?,
        ("developer" | "system" | "user" | "tool", None) => return Err(missing(&at("content"))),
        ("function", _) => {
            let message =
                "Role 'function' is not supported by this server: give 'tools' and role 'tool'.";
            return Err(unsupported(at("role"), message));
        }
        _ => {
            let param = at("role");
            let message = format!(
                "Invalid '{param}': must be one of system, developer, user, assistant and tool."
            );
            return Err(invalid(param, message));
        }
    };
    match extra.map(at) {
        None => Ok(message),
        Some(param) => {
            let message = format!("'{param}' is not supported by this server.");
            Err(unsupported(param, &message))
        }
    }
}

/// What the model said, and called.
fn assistant(
    path: &str,
    content: Option<String>,
    calls: Vec<ToolCallBody>,
    called: &mut CalledFunctions,
) -> Result<Value, ApiError> {
    if calls.is_empty() {
        let content = content.ok_or_else(|| missing(&format!("{path}.content")))?;
        return Ok(json!({ "role": "assistant", "content": content }));
    }
    let path = format!("{path}.tool_calls");
    if calls.len() > MAX_CALLS {
        let message = format!("Invalid '{path}': at most {MAX_CALLS} calls.");
        return Err(ApiError::invalid(path, "array_above_max_length", message));
    }
    let check = |(index, body)| call(&format!("{path}[{index}]"), body, called);
    let calls = calls.into_iter().enumerate().map(check).collect::<Result<Vec<_>, _>>()?;
    // A template would print `none`.
    let content = content.unwrap_or_default();
    Ok(json!({ "role": "assistant", "content": content, "tool_calls": calls }))
}

/// A call, with its arguments as the object that templates want.
fn call(path: &str, body: ToolCallBody, called: &mut CalledFunctions) -> Result<Value, ApiError> {
    let ToolCallBody { id, function, .. } = body;
    check_id(format!("{path}.id"), &id)?;
    identifier(format!("{path}.function.name"), &function.name)?;
    let Ok(arguments @ Value::Object(_)) = serde_json::from_str(&function.arguments) else {
        let param = format!("{path}.function.arguments");
        let message = format!("Invalid '{param}': must be a JSON object, as text.");
        return Err(invalid(param, message));
    };
    called.insert(id.clone(), function.name.clone());
    let function = json!({ "name": function.name, "arguments": arguments });
    Ok(json!({ "id": id, "type": "function", "function": function }))
}

/// What a call returned.
fn tool_result(
    path: &str,
    content: &str,
    id: Option<String>,
    called: &CalledFunctions,
) -> Result<Value, ApiError> {
    let param = format!("{path}.tool_call_id");
    let id = id.ok_or_else(|| missing(&param))?;
    check_id(param.clone(), &id)?;
    let Some(name) = called.get(&id) else {
        let message = format!(
            "Invalid '{param}': no message before it has a call of this id in its 'tool_calls'."
        );
        return Err(invalid(param, message));
    };
    Ok(json!({ "role": "tool", "content": content, "tool_call_id": id, "name": name }))
}

fn check_id(param: String, id: &str) -> Result<(), ApiError> {
    if (1..=MAX_ID).contains(&id.len()) {
        return Ok(());
    }
    let message = format!("Invalid '{param}': 1 to {MAX_ID} bytes.");
    Err(invalid(param, message))
}

fn text(param: &str, content: Content) -> Result<String, ApiError> {
    match content {
        StringOrList::String(text) => Ok(text),
        StringOrList::List(parts) => parts
            .into_iter()
            .enumerate()
            .map(|(index, part)| text_part(format!("{param}[{index}]"), part))
            .collect(),
    }
}

fn text_part(param: String, part: Part) -> Result<String, ApiError> {
    match (part.kind.as_deref(), part.text) {
        (Some("text"), Some(text)) => Ok(text),
        // What the assistant said in place of an answer.
        (Some("refusal"), _) => Ok(part.refusal.unwrap_or_default()),
        (Some("text") | None, _) => {
            let message =
                format!("Invalid '{param}': expected {{\"type\": \"text\", \"text\": …}}.");
            Err(invalid(param, message))
        }
        (Some(_), _) => Err(unsupported(
            param,
            "Only text is supported by this server: no images, audio or files.",
        )),
    }
}
