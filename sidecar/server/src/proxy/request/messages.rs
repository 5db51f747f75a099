//! Prompts of Anthropic's `messages`, as servers turn them into messages of a chat template.

use super::chat::{ChatPrompt, message};
use crate::openai::arguments;
use crate::proxy::answer::Unreadable;
use serde_json::{Map, Value, json};

pub(super) fn read(fields: &mut Map<String, Value>) -> Result<ChatPrompt, Unreadable> {
    let mut messages = Vec::new();
    match fields.remove("system") {
        None | Some(Value::Null) => {}
        Some(system) => messages.push(json!({ "role": "system", "content": text(&system)? })),
    }
    let Some(Value::Array(turns)) = fields.remove("messages") else {
        return Err(Unreadable("`messages` is not a list of messages"));
    };
    if turns.is_empty() {
        return Err(Unreadable("`messages` is not a list of messages"));
    }
    for turn in &turns {
        add_turn(turn, &mut messages)?;
    }
    let tools = match fields.remove("tools") {
        Some(Value::Array(tools)) => tools.iter().map(tool).collect::<Result<_, _>>()?,
        _ => Vec::new(),
    };
    let messages = messages.into_iter().map(message).collect::<Result<_, _>>()?;
    Ok(ChatPrompt::new(messages, tools))
}

/// One turn: its text and calls as a message, results of calls as messages of their own.
fn add_turn(turn: &Value, messages: &mut Vec<Value>) -> Result<(), Unreadable> {
    let role = turn.get("role").and_then(Value::as_str);
    let role = role.ok_or(Unreadable("a message has no role"))?;
    let blocks = match turn.get("content") {
        Some(Value::String(said)) => {
            messages.push(json!({ "role": role, "content": said }));
            return Ok(());
        }
        Some(Value::Array(blocks)) => blocks,
        _ => return Err(Unreadable("the content of a message is not text")),
    };
    let (mut texts, mut calls) = (Vec::new(), Vec::new());
    for block in blocks {
        let field = |name: &str| block.get(name).cloned().unwrap_or(Value::Null);
        match block.get("type").and_then(Value::as_str) {
            Some("text") => texts.push(text(block)?),
            // Templates leave out what was thought in earlier turns.
            Some("thinking" | "redacted_thinking") => {}
            Some("tool_use") => calls.push(json!({
                "id": field("id"), "type": "function",
                "function": { "name": field("name"), "arguments": arguments(field("input")) },
            })),
            Some("tool_result") => messages.push(json!({
                "role": "tool", "tool_call_id": field("tool_use_id"),
                "content": text(&field("content"))?,
            })),
            _ => return Err(Unreadable("a part of a message is not text")),
        }
    }
    if !texts.is_empty() || !calls.is_empty() {
        let mut message = json!({ "role": role, "content": texts.join("\n") });
        if !calls.is_empty() {
            message["tool_calls"] = calls.into();
        }
        messages.push(message);
    }
    Ok(())
}

/// Text, or blocks of nothing else.
fn text(value: &Value) -> Result<String, Unreadable> {
    let odd = Unreadable("a part of a message is not text");
    match value {
        Value::Null => Ok(String::new()),
        Value::String(text) => Ok(text.clone()),
        Value::Array(blocks) => {
            Ok(blocks.iter().map(text).collect::<Result<Vec<_>, _>>()?.join("\n"))
        }
        Value::Object(block) if block.get("type").and_then(Value::as_str) == Some("text") => {
            block.get("text").and_then(Value::as_str).map(str::to_owned).ok_or(odd)
        }
        _ => Err(odd),
    }
}

/// A tool, as chat templates know it.
fn tool(tool: &Value) -> Result<Value, Unreadable> {
    let name = tool.get("name").and_then(Value::as_str);
    let name = name.ok_or(Unreadable("a tool has no name"))?;
    Ok(json!({ "type": "function", "function": {
        "name": name,
        "description": tool.get("description").cloned().unwrap_or_else(|| json!("")),
        "parameters": tool.get("input_schema").cloned().unwrap_or_else(|| json!({})),
    } }))
}
