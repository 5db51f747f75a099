//! Tools as plain text, for chat templates that know none.

use super::call_format::{TOOL_CALL_END, TOOL_CALL_START};
use serde_json::{Value, json};

/// Messages in which calls and their results are text. Consecutive results make one turn of the
/// user.
pub(super) fn tool_messages_as_text(messages: &[Value]) -> Vec<Value> {
    let mut converted: Vec<Value> = Vec::with_capacity(messages.len());
    let mut follows_result = false;
    for message in messages {
        let content = message["content"].as_str().unwrap_or_default();
        let is_result = message["role"] == "tool";
        if is_result {
            let result = format!("<tool_response>\n{content}\n</tool_response>");
            match converted.last_mut().filter(|_| follows_result) {
                Some(turn) => {
                    let earlier = turn["content"].as_str().unwrap_or_default();
                    turn["content"] = format!("{earlier}\n{result}").into();
                }
                None => converted.push(json!({ "role": "user", "content": result })),
            }
        } else if let Some(calls) = message["tool_calls"].as_array() {
            let text = (!content.is_empty()).then(|| content.to_owned());
            let parts: Vec<_> = text.into_iter().chain(calls.iter().map(call_as_text)).collect();
            converted.push(json!({ "role": "assistant", "content": parts.join("\n") }));
        } else {
            converted.push(message.clone());
        }
        follows_result = is_result;
    }
    converted
}

fn call_as_text(call: &Value) -> String {
    let function = &call["function"];
    format!(
        "{TOOL_CALL_START}\n{{\"name\": {}, \"arguments\": {}}}\n{TOOL_CALL_END}",
        function["name"], function["arguments"]
    )
}

/// The message that describes the functions.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum DescribeIn {
    /// The system message, after its own text.
    System,
    /// The first message of the user, before its own text.
    User,
}

/// The messages, with the functions described in the first: in a new message where the first has
/// another role.
pub(super) fn describe_functions(
    messages: &[Value],
    tools: &[Value],
    describe_in: DescribeIn,
) -> Vec<Value> {
    let functions: Vec<_> = tools.iter().map(|tool| tool["function"].to_string()).collect();
    let description = format!(
        "You can call functions. Each line between <tools> and </tools> is one, with a JSON Schema \
         of its arguments:\n\
         <tools>\n{}\n</tools>\n\
         To call one, write its name and its arguments as JSON, set off like this:\n\
         {TOOL_CALL_START}\n{{\"name\": \"NAME\", \"arguments\": {{}}}}\n{TOOL_CALL_END}",
        functions.join("\n")
    );
    let role = match describe_in {
        DescribeIn::System => "system",
        DescribeIn::User => "user",
    };
    let mut messages = messages.to_vec();
    match messages.first_mut().filter(|first| first["role"] == role) {
        Some(first) => {
            let content = first["content"].as_str().unwrap_or_default();
            let parts = match describe_in {
                DescribeIn::System => [content, &description],
                DescribeIn::User => [&description, content],
            };
            first["content"] = parts.join("\n\n").into();
        }
        None => messages.insert(0, json!({ "role": role, "content": description })),
    }
    messages
}

#[cfg(test)]
mod tests;
