//! Messages that are refused.

use super::{Case, call, messages};
use serde_json::{Value, json};

/// Bad requests of this kind.
pub(super) fn table() -> Vec<Case> {
    let user = |content: Value| json!([{ "role": "user", "content": content }]);
    vec![
        (
            "a message is a string",
            messages(json!(["hi"])),
            400,
            "invalid_type",
            json!("messages[0]"),
        ),
        (
            "no role",
            messages(json!([{ "content": "hi" }])),
            400,
            "missing_required_parameter",
            json!("messages[0].role"),
        ),
        (
            "unknown role",
            messages(json!([{ "role": "king", "content": "hi" }])),
            400,
            "invalid_value",
            json!("messages[0].role"),
        ),
        (
            "a result without a call",
            messages(json!([{ "role": "tool", "content": "hi", "tool_call_id": "a" }])),
            400,
            "invalid_value",
            json!("messages[0].tool_call_id"),
        ),
        (
            "a result without an id",
            messages(json!([{ "role": "tool", "content": "hi" }])),
            400,
            "missing_required_parameter",
            json!("messages[0].tool_call_id"),
        ),
        (
            "role of a function",
            messages(json!([{ "role": "function", "name": "f", "content": "hi" }])),
            400,
            "unsupported_parameter",
            json!("messages[0].role"),
        ),
        (
            "no content",
            messages(json!([{ "role": "user" }])),
            400,
            "missing_required_parameter",
            json!("messages[0].content"),
        ),
        (
            "content is a number",
            messages(user(json!(1))),
            400,
            "invalid_type",
            json!("messages[0].content"),
        ),
        (
            "an image",
            messages(user(
                json!([{ "type": "image_url", "image_url": { "url": "http://x/y.png" } }]),
            )),
            400,
            "unsupported_parameter",
            json!("messages[0].content[0]"),
        ),
        (
            "a part without text",
            messages(user(json!([{ "type": "text" }]))),
            400,
            "invalid_value",
            json!("messages[0].content[0]"),
        ),
        (
            "a call that is empty",
            messages(json!([{ "role": "assistant", "content": "x", "tool_calls": [{}] }])),
            400,
            "missing_required_parameter",
            json!("messages[0].tool_calls[0].id"),
        ),
        (
            "calls of a user",
            messages(json!([{ "role": "user", "content": "x", "tool_calls": [call("{}")] }])),
            400,
            "unsupported_parameter",
            json!("messages[0].tool_calls"),
        ),
        (
            "arguments that are no object",
            messages(json!([{ "role": "assistant", "tool_calls": [call("[1")] }])),
            400,
            "invalid_value",
            json!("messages[0].tool_calls[0].function.arguments"),
        ),
        (
            "too many calls",
            messages(json!([{ "role": "assistant", "tool_calls": vec![call("{}"); 129] }])),
            400,
            "array_above_max_length",
            json!("messages[0].tool_calls"),
        ),
    ]
}
