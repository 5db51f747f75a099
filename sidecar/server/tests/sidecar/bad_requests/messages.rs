//! Bad messages.

use super::case::{Case, case, messages, without};
use serde_json::{Value, json};

fn user(content: Value) -> Value {
    json!([{ "role": "user", "content": content }])
}

fn call(arguments: &str) -> Value {
    json!({ "id": "a", "type": "function", "function": { "name": "f", "arguments": arguments } })
}

pub(super) fn cases() -> Vec<Case> {
    vec![
        case(
            "no messages",
            without("messages"),
            400,
            "missing_required_parameter",
            json!("messages"),
        ),
        case("empty messages", messages(json!([])), 400, "empty_array", json!("messages")),
        case("messages is a string", messages(json!("hi")), 400, "invalid_type", json!("messages")),
        case(
            "a message is a string",
            messages(json!(["hi"])),
            400,
            "invalid_type",
            json!("messages[0]"),
        ),
        case(
            "no role",
            messages(json!([{ "content": "hi" }])),
            400,
            "missing_required_parameter",
            json!("messages[0].role"),
        ),
        case(
            "unknown role",
            messages(json!([{ "role": "king", "content": "hi" }])),
            400,
            "invalid_value",
            json!("messages[0].role"),
        ),
        case(
            "no content",
            messages(json!([{ "role": "user" }])),
            400,
            "missing_required_parameter",
            json!("messages[0].content"),
        ),
        case(
            "content is a number",
            messages(user(json!(1))),
            400,
            "invalid_type",
            json!("messages[0].content"),
        ),
        case(
            "an image",
            messages(user(
                json!([{ "type": "image_url", "image_url": { "url": "http://x/y.png" } }]),
            )),
            400,
            "unsupported_parameter",
            json!("messages[0].content[0]"),
        ),
        case(
            "a part without text",
            messages(user(json!([{ "type": "text" }]))),
            400,
            "invalid_value",
            json!("messages[0].content[0]"),
        ),
        case(
            "a call that is empty",
            messages(json!([{ "role": "assistant", "content": "x", "tool_calls": [{}] }])),
            400,
            "missing_required_parameter",
            json!("messages[0].tool_calls[0].function"),
        ),
        case(
            "calls of a user",
            messages(json!([{ "role": "user", "content": "x", "tool_calls": [call("{}")] }])),
            400,
            "unsupported_parameter",
            json!("messages[0].tool_calls"),
        ),
        case(
            "too many calls",
            messages(json!([{ "role": "assistant", "tool_calls": vec![call("{}"); 129] }])),
            400,
            "array_above_max_length",
            json!("messages[0].tool_calls"),
        ),
        case(
            "messages is an object",
            messages(json!({ "role": "user" })),
            400,
            "invalid_type",
            json!("messages"),
        ),
    ]
}
