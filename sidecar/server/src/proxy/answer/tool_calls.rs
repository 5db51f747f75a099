//! Calls of functions in an answer.

use super::Unreadable;
use crate::proxy::shape::{Shape, is_identifier};
use serde_json::{Map, Value, json};

/// Reads the field `tool_calls` or `function_call`: names and arguments are text.
pub(super) fn read(field: &str, value: Value, text: &mut String) -> Result<Value, Unreadable> {
    if field == "function_call" {
        return function(value, text);
    }
    let Value::Array(calls) = value else { return Err(Unreadable("tool calls are not a list")) };
    let calls = calls.into_iter().enumerate().map(|(at, value)| call(at, value, text));
    Ok(Value::Array(calls.collect::<Result<_, _>>()?))
}

fn call(at: usize, value: Value, text: &mut String) -> Result<Value, Unreadable> {
    let Value::Object(fields) = value else {
        return Err(Unreadable("a tool call is not an object"));
    };
    let mut kept = Map::new();
    for (name, value) in fields {
        let value = match name.as_str() {
            "index" => Shape::Number.of(value),
            "id" => id(&value, at),
            "type" => Shape::Word(&["function", "custom"]).of(value),
            "function" | "custom" if !value.is_null() => function(value, text)?,
            _ => continue,
        };
        kept.insert(name, value);
    }
    Ok(Value::Object(kept))
}

/// The identifier of a call, or one for it where that is none.
pub(super) fn id(value: &Value, at: usize) -> Value {
    match value {
        Value::Null => Value::Null,
        Value::String(id) if id.is_empty() || is_identifier(id) => value.clone(),
        _ => json!(format!("call_{at}")),
    }
}

fn function(value: Value, text: &mut String) -> Result<Value, Unreadable> {
    let Value::Object(fields) = value else {
        return Err(Unreadable("the function of a call is not an object"));
    };
    let mut kept = Map::new();
    for (name, value) in fields {
        if !matches!(name.as_str(), "name" | "arguments" | "input") {
            continue;
        }
        match &value {
            Value::Null => {}
            Value::String(said) => text.push_str(said),
            // Some servers give arguments as the object that others write as its text.
            said => text.push_str(&said.to_string()),
        }
        kept.insert(name, value);
    }
    Ok(Value::Object(kept))
}
