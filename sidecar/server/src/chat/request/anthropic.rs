//! A request to Anthropic's `messages`, as the chat that it comes down to.

mod turns;

use crate::http::ApiError;
use crate::openai::{invalid, missing, unsupported};
use serde_json::{Map, Value, json};

/// Fields of a chat that mean the same.
pub(super) fn as_chat(mut fields: Map<String, Value>) -> Result<Map<String, Value>, ApiError> {
    fields.retain(|_, value| !value.is_null());
    if fields.get("n").is_some_and(|n| n.as_f64() != Some(1.0)) {
        return Err(unsupported("n", "A message is one answer: ask again for another."));
    }
    if fields.remove("mcp_servers").is_some_and(|servers| servers != json!([])) {
        let message = "'mcp_servers' is not supported: this server calls no others.";
        return Err(unsupported("mcp_servers", message));
    }
    let turns = fields.remove("messages").ok_or_else(|| missing("messages"))?;
    let messages = turns::messages(fields.remove("system"), turns)?;
    if turns::ends_within_an_answer(&messages) {
        fields.entry("continue_final_message").or_insert(json!(true));
    }
    fields.insert("messages".to_owned(), messages.into());
    if let Some(stops) = fields.remove("stop_sequences") {
        fields.insert("stop".to_owned(), stops);
    }
    if let Some(Value::Array(tools)) = fields.remove("tools") {
        let tools = tools.into_iter().enumerate().map(|(at, tool)| self::tool(at, tool));
        fields.insert("tools".to_owned(), tools.collect::<Result<_, _>>()?);
    }
    if let Some(Value::Object(choice)) = fields.get("tool_choice") {
        let is_one = choice.get("disable_parallel_tool_use") == Some(&json!(true));
        let choice = tool_choice(choice)?;
        fields.insert("tool_choice".to_owned(), choice);
        fields.extend(is_one.then(|| ("parallel_tool_calls".to_owned(), json!(false))));
    }
    // How much it thinks is then the model's own matter.
    if fields.get("thinking").is_some_and(|thinking| thinking["type"] == "adaptive") {
        fields.remove("thinking");
    }
    let mut format = fields.remove("output_format");
    if let Some(Value::Object(mut output)) = fields.remove("output_config") {
        format = output.remove("format").filter(|format| !format.is_null()).or(format);
        if let Some(effort @ Value::String(_)) = output.remove("effort") {
            fields.insert("reasoning_effort".to_owned(), effort);
        }
    }
    fields.extend(format.map(|format| ("response_format".to_owned(), format)));
    Ok(fields)
}

/// A function of the client's own; the others are run by Anthropic's servers, or are known to its
/// models.
fn tool(at: usize, tool: Value) -> Result<Value, ApiError> {
    let path = format!("tools[{at}]");
    let Value::Object(mut tool) = tool else {
        return Err(invalid(&path, format!("Invalid '{path}': must be an object.")));
    };
    tool.retain(|_, value| !value.is_null());
    if tool.get("type").is_some_and(|kind| kind != "custom") {
        let message = "Only functions are supported by this server: \"type\": \"custom\".";
        return Err(unsupported(format!("{path}.type"), message));
    }
    let name = tool.remove("name").ok_or_else(|| missing(&format!("{path}.name")))?;
    let mut function = Map::from_iter([("name".to_owned(), name)]);
    for (field, here) in
        [("description", "description"), ("parameters", "input_schema"), ("strict", "strict")]
    {
        function.extend(tool.remove(here).map(|value| (field.to_owned(), value)));
    }
    Ok(json!({ "type": "function", "function": function }))
}

fn tool_choice(choice: &Map<String, Value>) -> Result<Value, ApiError> {
    match choice.get("type").and_then(Value::as_str) {
        Some(mode @ ("auto" | "none")) => Ok(json!(mode)),
        Some("any") => Ok(json!("required")),
        Some("tool") => {
            let name = choice.get("name").ok_or_else(|| missing("tool_choice.name"))?;
            Ok(json!({ "type": "function", "function": { "name": name } }))
        }
        _ => {
            let param = "tool_choice.type";
            let message = format!("Invalid '{param}': must be one of auto, any, tool and none.");
            Err(invalid(param, message))
        }
    }
}

/// An error about a field of the chat, by the field of the request that it came from.
pub(super) fn by_its_fields(error: ApiError) -> ApiError {
    error.with_param(|param| match param {
        "stop" => Some("stop_sequences"),
        "tool_choice.function.name" => Some("tool_choice.name"),
        "reasoning_effort" => Some("output_config.effort"),
        param if param.starts_with("response_format") => Some("output_config.format"),
        _ => None,
    })
}
