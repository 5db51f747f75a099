//! A request to `responses`, as the chat that it comes down to.

use crate::http::ApiError;
use crate::openai::{invalid, missing, unsupported};
use serde_json::{Map, Value, json};

/// Fields that change nothing here, or that say the default.
const IGNORED: [&str; 5] =
    ["include", "max_tool_calls", "stream_options", "top_logprobs", "truncation"];

/// Fields of a chat that have another name here.
const OF_CHATS: [(&str, &str); 5] = [
    ("messages", "input"),
    ("max_tokens", "max_output_tokens"),
    ("max_completion_tokens", "max_output_tokens"),
    ("n_predict", "max_output_tokens"),
    ("response_format", "text.format"),
];

/// Fields that go on from what a server has kept; this one keeps nothing.
const KEPT: [&str; 4] = ["previous_response_id", "conversation", "prompt", "background"];

/// Fields of a chat that mean the same.
pub(super) fn as_chat(mut fields: Map<String, Value>) -> Result<Map<String, Value>, ApiError> {
    fields.retain(|field, value| !IGNORED.contains(&field.as_str()) && !value.is_null());
    for field in KEPT {
        if fields.remove(field).is_some_and(|value| value != json!(false)) {
            let message = format!("'{field}' is not supported: this server keeps no responses.");
            return Err(unsupported(field, &message));
        }
    }
    for (field, here) in OF_CHATS {
        if fields.contains_key(field) {
            let message = format!("'{field}' is a field of chats: give '{here}' here.");
            return Err(ApiError::invalid(field, "unknown_parameter", message));
        }
    }
    if fields.get("n").is_some_and(|n| n.as_f64() != Some(1.0)) {
        return Err(unsupported("n", "A response has one answer: ask again for another."));
    }
    let mut messages = Vec::new();
    if let Some(instructions) = fields.remove("instructions") {
        messages.push(json!({ "role": "system", "content": instructions }));
    }
    match fields.remove("input").ok_or_else(|| missing("input"))? {
        Value::String(text) => messages.push(json!({ "role": "user", "content": text })),
        Value::Array(items) => {
            for (at, item) in items.into_iter().enumerate() {
                add_item(&format!("input[{at}]"), item, &mut messages)?;
            }
        }
        _ => return Err(invalid("input", "Invalid 'input': must be a text or a list of items.")),
    }
    fields.insert("messages".to_owned(), messages.into());
    if let Some(most) = fields.remove("max_output_tokens") {
        fields.insert("max_completion_tokens".to_owned(), most);
    }
    if let Some(Value::Array(tools)) = fields.remove("tools") {
        let tools = tools.into_iter().enumerate().map(|(at, tool)| self::tool(at, tool));
        fields.insert("tools".to_owned(), tools.collect::<Result<_, _>>()?);
    }
    if let Some(Value::Object(choice)) = fields.get_mut("tool_choice") {
        let name = choice.remove("name").unwrap_or_default();
        choice.insert("function".to_owned(), json!({ "name": name }));
    }
    if let Some(Value::Object(mut text)) = fields.remove("text") {
        if let Some(Value::Object(format)) = text.remove("format") {
            fields.insert("response_format".to_owned(), response_format(format));
        }
        fields.extend(text.remove_entry("verbosity"));
    }
    Ok(fields)
}

fn add_item(path: &str, item: Value, messages: &mut Vec<Value>) -> Result<(), ApiError> {
    let Value::Object(mut fields) = item else {
        return Err(invalid(path, format!("Invalid '{path}': must be an object.")));
    };
    let kind = fields.get("type").and_then(Value::as_str).unwrap_or("message").to_owned();
    let mut field = |name: &str| fields.remove(name).unwrap_or_default();
    match kind.as_str() {
        "message" => {
            messages.push(json!({ "role": field("role"), "content": field("content") }));
        }
        "function_call" => {
            let function = json!({ "name": field("name"), "arguments": field("arguments") });
            let call = json!({ "id": field("call_id"), "type": "function", "function": function });
            // Calls that follow each other are of one message.
            match messages.last_mut().and_then(|last| last.get_mut("tool_calls")?.as_array_mut()) {
                Some(calls) => calls.push(call),
                None => messages.push(json!({ "role": "assistant", "tool_calls": [call] })),
            }
        }
        "function_call_output" => messages.push(json!({
            "role": "tool", "tool_call_id": field("call_id"), "content": field("output"),
        })),
        // What was thought in earlier turns is no part of a prompt.
        "reasoning" => {}
        _ => {
            let message = format!(
                "Invalid '{path}.type': '{kind}' is not supported by this server: leave it out."
            );
            return Err(unsupported(format!("{path}.type"), &message));
        }
    }
    Ok(())
}

fn tool(at: usize, tool: Value) -> Result<Value, ApiError> {
    match tool {
        Value::Object(mut function)
            if function.get("type").and_then(Value::as_str) == Some("function") =>
        {
            function.remove("type");
            Ok(json!({ "type": "function", "function": function }))
        }
        _ => {
            let message = "Only functions are supported by this server: \"type\": \"function\".";
            Err(unsupported(format!("tools[{at}].type"), message))
        }
    }
}

fn response_format(mut format: Map<String, Value>) -> Value {
    let kind = format.remove("type").unwrap_or_default();
    match kind.as_str() {
        Some("json_schema") => json!({ "type": kind, "json_schema": format }),
        _ => json!({ "type": kind }),
    }
}

/// An error about a field of the chat, by the field of the request that it came from.
pub(super) fn by_its_fields(error: ApiError) -> ApiError {
    error.with_param(|param| match param {
        "max_completion_tokens" => Some("max_output_tokens"),
        "response_format" => Some("text.format"),
        param if param.starts_with("messages") => Some("input"),
        param if param.starts_with("response_format") => Some("text.format"),
        _ => None,
    })
}
