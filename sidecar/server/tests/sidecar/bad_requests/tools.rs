//! Tools, and choices of them, that are refused.

use super::{Case, replaced, tool, with_tools};
use serde_json::json;

/// Bad requests of this kind.
pub(super) fn table() -> Vec<Case> {
    vec![
        (
            "a tool of another type",
            replaced("tools", json!([{ "type": "web_search" }])),
            400,
            "unsupported_parameter",
            json!("tools[0].type"),
        ),
        (
            "a tool without a function",
            replaced("tools", json!([tool(json!({})), { "type": "function" }])),
            400,
            "missing_required_parameter",
            json!("tools[1].function"),
        ),
        (
            "a function of an odd name",
            replaced("tools", json!([{ "type": "function", "function": { "name": "a b" } }])),
            400,
            "invalid_value",
            json!("tools[0].function.name"),
        ),
        (
            "two functions of one name",
            replaced("tools", json!([tool(json!({})), tool(json!({}))])),
            400,
            "invalid_value",
            json!("tools[1].function.name"),
        ),
        (
            "parameters of another type",
            replaced("tools", json!([tool(json!({ "type": "array" }))])),
            400,
            "invalid_function_parameters",
            json!("tools[0].function.parameters"),
        ),
        (
            "parameters that cannot be held to",
            with_tools(json!([tool(json!({ "if": {} }))]), json!("required")),
            400,
            "invalid_function_parameters",
            json!("tools[0].function.parameters"),
        ),
        (
            "an unknown field of a function",
            replaced(
                "tools",
                json!([{ "type": "function", "function": { "name": "f", "secret": 1 } }]),
            ),
            400,
            "unknown_parameter",
            json!("tools[0].function.secret"),
        ),
        (
            "too many tools",
            replaced("tools", json!(vec![tool(json!({})); 129])),
            400,
            "array_above_max_length",
            json!("tools"),
        ),
        (
            "tools of 70 KB",
            replaced("tools", json!([tool(json!({ "description": "x".repeat(70_000) }))])),
            400,
            "invalid_value",
            json!("tools"),
        ),
        (
            "a choice without tools",
            replaced("tool_choice", json!("required")),
            400,
            "invalid_value",
            json!("tool_choice"),
        ),
        (
            "an odd choice of tools",
            with_tools(json!([tool(json!({}))]), json!("always")),
            400,
            "invalid_value",
            json!("tool_choice"),
        ),
        (
            "a choice of a tool that there is not",
            with_tools(
                json!([tool(json!({}))]),
                json!({ "type": "function", "function": { "name": "g" } }),
            ),
            400,
            "invalid_value",
            json!("tool_choice.function.name"),
        ),
        (
            "parallel_tool_calls is a number",
            replaced("parallel_tool_calls", json!(1)),
            400,
            "invalid_type",
            json!("parallel_tool_calls"),
        ),
    ]
}
