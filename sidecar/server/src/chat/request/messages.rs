//! The field `messages`: as chat templates know them. What a conversation has come through is no
//! reason to refuse it: clients send back what models and other servers wrote, as they keep it.

mod called;

use crate::http::ApiError;
use crate::openai::{
    CallOfFunction, Content, MessageBody, Part, PartKind, StringOrList, ToolCallBody, arguments,
    invalid, missing, unsupported,
};
use called::Called;
use serde_json::{Map, Value, json};

/// Calls in one message at most.
const MAX_CALLS: usize = 128;

/// Reads null content as empty, in a body that is not typed yet: absent is another matter.
pub(super) fn fill_content(fields: &mut Map<String, Value>) {
    let messages = fields.get_mut("messages").and_then(Value::as_array_mut);
    for message in messages.into_iter().flatten() {
        if let Some(content @ Value::Null) = message.get_mut("content") {
            *content = json!("");
        }
    }
}

pub(super) fn check(messages: Vec<MessageBody>) -> Result<Vec<Value>, ApiError> {
    if messages.is_empty() {
        let message = "Invalid 'messages': empty array. Expected at least one message.";
        return Err(ApiError::invalid("messages", "empty_array", message));
    }
    let mut called = Called::default();
    let check =
        |(index, message)| check_message(&format!("messages[{index}]"), message, &mut called);
    messages.into_iter().enumerate().map(check).collect()
}

fn check_message(
    path: &str,
    mut message: MessageBody,
    called: &mut Called,
) -> Result<Value, ApiError> {
    let at = |field: &str| format!("{path}.{field}");
    let content = message.content.take();
    let content = content.map(|content| text(&at("content"), content)).transpose()?;
    let is_assistant = message.role == "assistant";
    if !is_assistant && message.tool_calls.as_ref().is_some_and(|calls| !calls.is_empty()) {
        let advice = "Only messages of the assistant have 'tool_calls' on this server.";
        return Err(unsupported(at("tool_calls"), advice));
    }
    match (message.role.as_str(), content) {
        // Templates know `system`; `developer` is its newer name.
        ("developer" | "system", Some(content)) => {
            Ok(json!({ "role": "system", "content": content }))
        }
        ("user", Some(content)) => Ok(json!({ "role": "user", "content": content })),
        ("assistant", content) => assistant(path, content, message, called),
        // `function` is the older name of `tool`.
        ("tool" | "function", content) => {
            let name = message.name.as_ref().and_then(Value::as_str);
            let (id, name) = called.answered_by(message.tool_call_id, name);
            let content = content.unwrap_or_default();
            Ok(json!({ "role": "tool", "content": content, "tool_call_id": id, "name": name }))
        }
        ("developer" | "system" | "user", None) => Err(missing(&at("content"))),
        _ => {
            let param = at("role");
            let message = format!(
                "Invalid '{param}': must be one of system, developer, user, assistant and tool."
            );
            Err(invalid(param, message))
        }
    }
}

/// What the model said, and called.
fn assistant(
    path: &str,
    content: Option<String>,
    message: MessageBody,
    called: &mut Called,
) -> Result<Value, ApiError> {
    let words = |value: Option<Value>| match value {
        Some(Value::String(text)) if !text.is_empty() => Some(text),
        _ => None,
    };
    // A template would print `none`.
    let said = content.filter(|content| !content.is_empty());
    let content = said.or_else(|| words(message.refusal)).unwrap_or_default();
    let mut said = json!({ "role": "assistant", "content": content });
    // Templates that want what was thought know it by one name or the other.
    if let Some(thought) = words(message.reasoning_content).or_else(|| words(message.reasoning)) {
        said["reasoning"] = thought.clone().into();
        said["reasoning_content"] = thought.into();
    }
    let calls = message.tool_calls.unwrap_or_default();
    if calls.len() > MAX_CALLS {
        let path = format!("{path}.tool_calls");
        let message = format!("Invalid '{path}': at most {MAX_CALLS} calls.");
        return Err(ApiError::invalid(path, "array_above_max_length", message));
    }
    let mut calls: Vec<_> =
        calls.into_iter().map(|ToolCallBody { id, function, .. }| (id, function)).collect();
    if calls.is_empty() {
        calls.extend(message.function_call.map(|function| (None, function)));
    }
    let calls: Vec<_> =
        calls.into_iter().map(|(id, function)| call(id, function, called)).collect();
    if !calls.is_empty() {
        said["tool_calls"] = calls.into();
    }
    Ok(said)
}

fn call(id: Option<String>, function: CallOfFunction, called: &mut Called) -> Value {
    let CallOfFunction { name, arguments: given } = function;
    let id = called.add(id, &name);
    let function = json!({ "name": name, "arguments": arguments(given) });
    json!({ "id": id, "type": "function", "function": function })
}

/// The parts of a message as one text, a part a line, as vLLM and llama.cpp join them.
fn text(param: &str, content: Content) -> Result<String, ApiError> {
    let parts = match content {
        StringOrList::String(text) => return Ok(text),
        StringOrList::List(parts) => parts,
    };
    let parts = parts.into_iter().enumerate();
    let texts = parts.filter_map(|(index, part)| text_part(format!("{param}[{index}]"), part));
    Ok(texts.collect::<Result<Vec<_>, _>>()?.join("\n"))
}

/// None for what is no part of a prompt.
fn text_part(param: String, part: Part) -> Option<Result<String, ApiError>> {
    match part.into_kind() {
        PartKind::Text(text) => Some(Ok(text)),
        PartKind::Reasoning => None,
        PartKind::Empty => {
            let message =
                format!("Invalid '{param}': expected {{\"type\": \"text\", \"text\": …}}.");
            Some(Err(invalid(param, message)))
        }
        PartKind::Other => Some(Err(unsupported(
            param,
            "Only text is supported by this server: no images, audio or files.",
        ))),
    }
}
