//! Formats of a response as other servers' fields have them: `guided_json` and `structured_outputs`
//! as in vLLM, `json_schema` as in llama.cpp.

use super::response_format::ResponseFormat;
use super::unsupported::refused;
use crate::http::ApiError;
use crate::openai::invalid;
use serde_json::{Map, Value};
use std::sync::Arc;

const GUIDED: &str = "guided_json";
const STRUCTURED: &str = "structured_outputs.json";
const SCHEMA: &str = "json_schema";

/// Parts of `structured_outputs` that do not decide what a response is.
const HARMLESS: [&str; 5] = [
    "backend",
    "disable_additional_properties",
    "disable_any_whitespace",
    "disable_fallback",
    "enable_in_reasoning",
];

/// The format that such a field asks for, if one does.
pub(super) fn read(fields: &Map<String, Value>) -> Result<Option<ResponseFormat>, ApiError> {
    let structured = match fields.get("structured_outputs") {
        None | Some(Value::Null) => None,
        Some(Value::Object(parts)) => Some(parts),
        Some(_) => {
            let message = "Invalid 'structured_outputs': must be an object.";
            return Err(invalid("structured_outputs", message));
        }
    };
    let mut found = Vec::new();
    for (name, value) in structured.into_iter().flatten() {
        match (name.as_str(), value) {
            ("json_object", Value::Bool(true)) => found.push(ResponseFormat::JsonObject),
            (_, Value::Null | Value::Bool(false)) | ("json", _) => {}
            (name, _) if HARMLESS.contains(&name) => {}
            (name, _) => {
                let name = format!("structured_outputs.{name}");
                return Err(refused(&name, "give 'json', or a 'response_format'"));
            }
        }
    }
    let json = structured.and_then(|parts| parts.get("json"));
    for (param, value) in
        [(GUIDED, fields.get(GUIDED)), (STRUCTURED, json), (SCHEMA, fields.get(SCHEMA))]
    {
        if let Some(schema) = value.filter(|value| !value.is_null()) {
            let schema = Arc::new(self::schema(param, schema)?);
            found.push(ResponseFormat::JsonSchema { param, name: None, schema });
        }
    }
    let last = found.pop();
    only(last, found.pop())
}

/// The only one of two formats.
pub(super) fn only(
    one: Option<ResponseFormat>,
    other: Option<ResponseFormat>,
) -> Result<Option<ResponseFormat>, ApiError> {
    if one.is_some() && other.is_some() {
        let message = "Give one format: 'response_format', or one of vLLM's or llama.cpp's fields.";
        return Err(invalid("response_format", message));
    }
    Ok(one.or(other))
}

/// A schema, or the text of one.
fn schema(param: &str, value: &Value) -> Result<Value, ApiError> {
    match value {
        Value::Object(_) => Some(value.clone()),
        Value::String(text) => serde_json::from_str(text).ok().filter(Value::is_object),
        _ => None,
    }
    .ok_or_else(|| {
        let message = format!("Invalid '{param}': must be a JSON schema, or the text of one.");
        invalid(param, message)
    })
}
