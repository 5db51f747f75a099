//! Formats of a response as other servers' fields have them: `guided_json`, `guided_regex`,
//! `guided_choice` and `structured_outputs` as in vLLM, `json_schema` as in llama.cpp, and `regex`
//! as in SGLang.

use super::response_format::ResponseFormat;
use super::unsupported::refused;
use crate::http::ApiError;
use crate::openai::invalid;
use personaguard_model::TextForm;
use serde_json::{Map, Value};
use std::sync::Arc;

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
            (_, Value::Null | Value::Bool(false)) | ("json" | "regex" | "choice", _) => {}
            (name, _) if HARMLESS.contains(&name) => {}
            (name, _) => {
                let name = format!("structured_outputs.{name}");
                return Err(refused(&name, "give 'json', 'regex' or 'choice'"));
            }
        }
    }
    let structured = |part: &str| structured.and_then(|parts| parts.get(part));
    let asked: [(&'static str, Read, Option<&Value>); 8] = [
        ("guided_json", schema, fields.get("guided_json")),
        ("json_schema", schema, fields.get("json_schema")),
        ("structured_outputs.json", schema, structured("json")),
        ("guided_regex", regex, fields.get("guided_regex")),
        ("regex", regex, fields.get("regex")),
        ("structured_outputs.regex", regex, structured("regex")),
        ("guided_choice", choice, fields.get("guided_choice")),
        ("structured_outputs.choice", choice, structured("choice")),
    ];
    for (param, read, value) in asked {
        if let Some(value) = value.filter(|value| !is_nothing(value)) {
            found.push(read(param, value)?);
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

/// Reads such a field.
type Read = fn(&'static str, &Value) -> Result<ResponseFormat, ApiError>;

/// Whether a field asks for nothing. An empty object is a schema, which all JSON fits.
fn is_nothing(value: &Value) -> bool {
    value.is_null() || value == "" || value.as_array().is_some_and(Vec::is_empty)
}

/// A schema, or the text of one.
fn schema(param: &'static str, value: &Value) -> Result<ResponseFormat, ApiError> {
    let schema = match value {
        Value::Object(_) => Some(value.clone()),
        Value::String(text) => serde_json::from_str(text).ok().filter(Value::is_object),
        _ => None,
    };
    let schema = schema.ok_or_else(|| odd(param, "a JSON schema, or the text of one"))?;
    Ok(ResponseFormat::JsonSchema { param, name: None, schema: Arc::new(schema) })
}

fn regex(param: &'static str, value: &Value) -> Result<ResponseFormat, ApiError> {
    let pattern = value.as_str().ok_or_else(|| odd(param, "a regular expression"))?;
    Ok(ResponseFormat::Text { param, form: TextForm::Regex(pattern.to_owned()) })
}

fn choice(param: &'static str, value: &Value) -> Result<ResponseFormat, ApiError> {
    let texts =
        value.as_array().map(|items| items.iter().map(|item| Some(item.as_str()?.to_owned())));
    let texts: Option<Vec<_>> = texts.and_then(Iterator::collect);
    let choices = texts.ok_or_else(|| odd(param, "a list of texts"))?;
    Ok(ResponseFormat::Text { param, form: TextForm::Choice(choices) })
}

fn odd(param: &str, expected: &str) -> ApiError {
    invalid(param, format!("Invalid '{param}': must be {expected}."))
}
