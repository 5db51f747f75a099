//! Prompts of OpenAI's `responses`, as servers turn them into messages of a chat template.

use super::chat::{ChatPrompt, message};
use crate::openai::arguments;
use crate::proxy::answer::Unreadable;
use serde_json::{Map, Value, json};

pub(super) fn read(fields: &mut Map<String, Value>) -> Result<ChatPrompt, Unreadable> {
    for kept in ["previous_response_id", "conversation", "prompt"] {
        if fields.get(kept).is_some_and(|value| !value.is_null()) {
            return Err(Unreadable("it goes on from what the model server has kept"));
        }
    }
    let mut messages = Vec::new();
    match fields.remove("instructions") {
        None | Some(Value::Null) => {}
        Some(Value::String(text)) => messages.push(json!({ "role": "system", "content": text })),
        Some(_) => return Err(Unreadable("`instructions` is not text")),
    }
    match fields.remove("input") {
        Some(Value::String(text)) => messages.push(json!({ "role": "user", "content": text })),
        Some(Value::Array(items)) => {
            items.into_iter().try_for_each(|item| add_item(item, &mut messages))?;
        }
        _ => return Err(Unreadable("`input` is neither text nor a list of items")),
    }
    if messages.is_empty() {
        return Err(Unreadable("`input` is empty"));
    }
    let tools = match fields.remove("tools") {
        Some(Value::Array(tools)) => tools.into_iter().map(tool).collect::<Result<_, _>>()?,
        _ => Vec::new(),
    };
    let messages = messages.into_iter().map(message).collect::<Result<_, _>>()?;
    Ok(ChatPrompt::new(messages, tools))
}

fn add_item(item: Value, messages: &mut Vec<Value>) -> Result<(), Unreadable> {
    let Value::Object(mut fields) = item else {
        return Err(Unreadable("an item of `input` is not an object"));
    };
    let kind = fields.get("type").and_then(Value::as_str).unwrap_or("message").to_owned();
    let mut field = |name: &str| fields.remove(name).unwrap_or(Value::Null);
    match kind.as_str() {
        "message" => {
            messages.push(json!({ "role": field("role"), "content": field("content") }));
        }
        "function_call" => {
            let function =
                json!({ "name": field("name"), "arguments": arguments(field("arguments")) });
            let call = json!({ "id": field("call_id"), "type": "function", "function": function });
            // Calls that follow each other are of one message.
            match messages.last_mut().and_then(|last| last.get_mut("tool_calls")?.as_array_mut()) {
                Some(calls) => calls.push(call),
                None => messages
                    .push(json!({ "role": "assistant", "content": "", "tool_calls": [call] })),
            }
        }
        "function_call_output" => messages.push(json!({
            "role": "tool", "tool_call_id": field("call_id"), "content": field("output"),
        })),
        // Templates leave out what was thought in earlier turns.
        "reasoning" => {}
        _ => return Err(Unreadable("an item of `input` is not text")),
    }
    Ok(())
}

/// A function, as chat templates know it.
fn tool(tool: Value) -> Result<Value, Unreadable> {
    match tool {
        Value::Object(mut fields)
            if fields.get("type").and_then(Value::as_str) == Some("function") =>
        {
            fields.remove("type");
            Ok(json!({ "type": "function", "function": fields }))
        }
        // What the model server does by itself is not read here.
        _ => Err(Unreadable("a tool is not a function")),
    }
}
