//! Calls of functions in an answer.

use super::Unreadable;
use super::naming::call_reference;
use crate::proxy::shape::Shape;
use serde_json::{Map, Value};

/// Reads the field `tool_calls` or `function_call`: names and arguments are text.
pub(super) fn read(field: &str, value: Value, text: &mut String) -> Result<Value, Unreadable> {
    if field == "function_call" {
        return function(value, text);
    }
    match value {
        Value::Array(calls) => {
            let calls = calls.into_iter().map(|value| call(value, text));
            Ok(Value::Array(calls.collect::<Result<_, _>>()?))
        }
        // Some servers stream the only call by itself.
        one => call(one, text),
    }
}

fn call(value: Value, text: &mut String) -> Result<Value, Unreadable> {
    let function = value.pointer("/function/name").and_then(Value::as_str).map(str::to_owned);
    let Value::Object(fields) = value else {
        return Err(Unreadable("a tool call is not an object"));
    };
    let mut kept = Map::new();
    for (name, value) in fields {
        let value = match name.as_str() {
            "index" => Shape::Number.of(value),
            "id" => call_reference(&value, function.as_deref()),
            "type" => Shape::Word(&["function", "custom"]).of(value),
            "function" | "custom" if !value.is_null() => self::function(value, text)?,
            _ => continue,
        };
        kept.insert(name, value);
    }
    Ok(Value::Object(kept))
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
