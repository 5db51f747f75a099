//! Bad tools, and bad choices of them.

use super::case::{Case, case, replaced};
use crate::rig::{chat, with};
use serde_json::{Value, json};

fn tool(parameters: Value) -> Value {
    json!({ "type": "function", "function": { "name": "f", "parameters": parameters } })
}

fn with_tools(tools: Value, choice: Value) -> Vec<u8> {
    with(chat("Hi"), json!({ "tools": tools, "tool_choice": choice })).to_string().into_bytes()
}

pub(super) fn cases() -> Vec<Case> {
    vec![
        case(
            "tools is an object",
            replaced("tools", json!({})),
            400,
            "invalid_type",
            json!("tools"),
        ),
        case(
            "a tool of another type",
            replaced("tools", json!([{ "type": "web_search" }])),
            400,
            "unsupported_parameter",
            json!("tools[0].type"),
        ),
        case(
            "a tool without a function",
            replaced("tools", json!([tool(json!({})), { "type": "function" }])),
            400,
            "missing_required_parameter",
            json!("tools[1].function"),
        ),
        case(
            "a function of an odd name",
            replaced("tools", json!([{ "type": "function", "function": { "name": "a b" } }])),
            400,
            "invalid_value",
            json!("tools[0].function.name"),
        ),
        case(
            "two functions of one name",
            replaced("tools", json!([tool(json!({})), tool(json!({}))])),
            400,
            "invalid_value",
            json!("tools[1].function.name"),
        ),
        case(
            "parameters of another type",
            replaced("tools", json!([tool(json!({ "type": "array" }))])),
            400,
            "invalid_function_parameters",
            json!("tools[0].function.parameters"),
        ),
        case(
            "parameters that cannot be held to",
            with_tools(json!([tool(json!({ "if": {} }))]), json!("required")),
            400,
            "invalid_function_parameters",
            json!("tools[0].function.parameters"),
        ),
        case(
            "too many tools",
            replaced("tools", json!(vec![tool(json!({})); 129])),
            400,
            "array_above_max_length",
            json!("tools"),
        ),
        case(
            "tools of 70 KB",
            replaced("tools", json!([tool(json!({ "description": "x".repeat(70_000) }))])),
            400,
            "invalid_value",
            json!("tools"),
        ),
        case(
            "a choice without tools",
            replaced("tool_choice", json!("required")),
            400,
            "invalid_value",
            json!("tool_choice"),
        ),
        case(
            "an odd choice of tools",
            with_tools(json!([tool(json!({}))]), json!("always")),
            400,
            "invalid_value",
            json!("tool_choice"),
        ),
        case(
            "a choice of a tool that there is not",
            with_tools(
                json!([tool(json!({}))]),
                json!({ "type": "function", "function": { "name": "g" } }),
            ),
            400,
            "invalid_value",
            json!("tool_choice.function.name"),
        ),
        case(
            "parallel_tool_calls is a number",
            replaced("parallel_tool_calls", json!(1)),
            400,
            "invalid_type",
            json!("parallel_tool_calls"),
        ),
    ]
}
