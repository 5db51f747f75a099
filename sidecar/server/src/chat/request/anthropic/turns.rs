//! The turns of a conversation: lists of blocks become messages, calls and results.

use crate::http::ApiError;
use crate::openai::{invalid, missing, unsupported};
use serde_json::{Map, Value, json};

/// The messages of a chat.
pub(super) fn messages(system: Option<Value>, turns: Value) -> Result<Vec<Value>, ApiError> {
    let Value::Array(turns) = turns else {
        return Err(invalid("messages", "Invalid 'messages': must be a list of messages."));
    };
    let mut messages = Vec::new();
    if let Some(content) = system {
        let content = texts("system", content)?;
        messages.push(json!({ "role": "system", "content": content }));
    }
    for (at, turn) in turns.into_iter().enumerate() {
        let path = format!("messages[{at}]");
        let Value::Object(mut turn) = turn else {
            return Err(invalid(&path, format!("Invalid '{path}': must be an object.")));
        };
        let content = turn.remove("content").ok_or_else(|| missing(&format!("{path}.content")))?;
        let role = turn.remove("role").unwrap_or_default();
        match role.as_str() {
            Some("assistant") => messages.push(assistant(&format!("{path}.content"), content)?),
            Some(role @ ("user" | "system" | "developer")) => {
                add_turn(role, &format!("{path}.content"), content, &mut messages)?;
            }
            _ => {
                let param = format!("{path}.role");
                let message = format!("Invalid '{param}': must be user or assistant.");
                return Err(invalid(param, message));
            }
        }
    }
    Ok(messages)
}

/// A block, and the path by which errors name it.
type Block = (String, Map<String, Value>);

/// Whether the last message is the beginning of the answer that is asked for.
pub(super) fn ends_within_an_answer(messages: &[Value]) -> bool {
    messages.last().is_some_and(|last| {
        last["role"] == "assistant" && last["tool_calls"].is_null() && last["content"] != json!([])
    })
}

/// The blocks of a turn. A text is one block.
fn blocks(path: &str, content: Value) -> Result<Vec<Block>, ApiError> {
    let items = match content {
        Value::Null => return Ok(Vec::new()),
        Value::String(text) => vec![json!({ "type": "text", "text": text })],
        Value::Array(items) => items,
        _ => {
            let message = format!("Invalid '{path}': must be a text or a list of blocks.");
            return Err(invalid(path, message));
        }
    };
    let block = |(at, item)| match item {
        Value::Object(block) => Ok((format!("{path}[{at}]"), block)),
        _ => {
            let path = format!("{path}[{at}]");
            Err(invalid(&path, format!("Invalid '{path}': must be an object.")))
        }
    };
    items.into_iter().enumerate().map(block).collect()
}

fn kind(block: &Map<String, Value>) -> &str {
    block.get("type").and_then(Value::as_str).unwrap_or("text")
}

fn take(path: &str, block: &mut Map<String, Value>, field: &str) -> Result<Value, ApiError> {
    let value = block.remove(field).filter(|value| !value.is_null());
    value.ok_or_else(|| missing(&format!("{path}.{field}")))
}

/// A block of text as a part of a message.
fn text(path: &str, mut block: Map<String, Value>) -> Result<Value, ApiError> {
    match kind(&block) {
        "text" => match take(path, &mut block, "text")? {
            text @ Value::String(_) => Ok(json!({ "type": "text", "text": text })),
            _ => {
                let param = format!("{path}.text");
                Err(invalid(&param, format!("Invalid '{param}': must be a text.")))
            }
        },
        kind => {
            let param = format!("{path}.type");
            let message =
                format!("Invalid '{param}': '{kind}' is not supported by this server: only text.");
            Err(unsupported(param, &message))
        }
    }
}

/// Text, in blocks of nothing else.
fn texts(path: &str, content: Value) -> Result<Vec<Value>, ApiError> {
    blocks(path, content)?.into_iter().map(|(path, block)| text(&path, block)).collect()
}

/// A turn that is not the model's: results of calls, which are messages of their own, and text.
fn add_turn(
    role: &str,
    path: &str,
    content: Value,
    messages: &mut Vec<Value>,
) -> Result<(), ApiError> {
    let (mut parts, before) = (Vec::new(), messages.len());
    for (path, mut block) in blocks(path, content)? {
        if kind(&block) != "tool_result" {
            parts.push(text(&path, block)?);
            continue;
        }
        if !parts.is_empty() {
            messages.push(json!({ "role": role, "content": std::mem::take(&mut parts) }));
        }
        let content = block.remove("content").unwrap_or_default();
        messages.push(json!({
            "role": "tool", "tool_call_id": block.remove("tool_use_id"),
            "content": texts(&format!("{path}.content"), content)?,
        }));
    }
    if !parts.is_empty() || messages.len() == before {
        messages.push(json!({ "role": role, "content": parts }));
    }
    Ok(())
}

/// What the model thought, said and called.
fn assistant(path: &str, content: Value) -> Result<Value, ApiError> {
    let (mut parts, mut calls, mut thought) = (Vec::new(), Vec::new(), String::new());
    for (path, mut block) in blocks(path, content)? {
        match kind(&block) {
            "thinking" => {
                let more = block.get("thinking").and_then(Value::as_str);
                thought.push_str(more.unwrap_or_default());
            }
            // Only Anthropic's servers can read it.
            "redacted_thinking" => {}
            "tool_use" => {
                let name = take(&path, &mut block, "name")?;
                let function = json!({ "name": name, "arguments": block.remove("input") });
                let id = block.remove("id");
                calls.push(json!({ "id": id, "type": "function", "function": function }));
            }
            _ => parts.push(text(&path, block)?),
        }
    }
    let mut message = json!({ "role": "assistant", "content": parts });
    if !thought.is_empty() {
        message["reasoning_content"] = json!(thought);
    }
    if !calls.is_empty() {
        message["tool_calls"] = calls.into();
    }
    Ok(message)
}
