//! JSON Schema, as far as the tests use it: written against the standard, not against the engine.

use serde_json::Value;

/// Whether a value fits a schema without references.
pub fn fits(schema: &Value, value: &Value) -> bool {
    let number = |key: &str| schema.get(key).and_then(Value::as_f64);
    let all = |key: &str, holds: &dyn Fn(&Value) -> bool| schema.get(key).is_none_or(holds);
    all("type", &|kind| match kind.as_str().unwrap() {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        "number" => value.is_number(),
        "integer" => value.as_f64().is_some_and(|number| number.fract() == 0.0),
        other => panic!("type {other}"),
    }) && all("enum", &|allowed| allowed.as_array().unwrap().contains(value))
        && all("const", &|constant| constant == value)
        && all("anyOf", &|options| {
            options.as_array().unwrap().iter().any(|option| fits(option, value))
        })
        && value.as_f64().is_none_or(|found| {
            number("minimum").is_none_or(|least| found >= least)
                && number("maximum").is_none_or(|most| found <= most)
        })
        && value.as_str().is_none_or(|text| {
            #[allow(clippy::cast_precision_loss)]
            let length = text.chars().count() as f64;
            number("minLength").is_none_or(|least| length >= least)
                && number("maxLength").is_none_or(|most| length <= most)
        })
        && value.as_array().is_none_or(|items| {
            #[allow(clippy::cast_precision_loss)]
            let count = items.len() as f64;
            all("items", &|schema| items.iter().all(|item| fits(schema, item)))
                && number("minItems").is_none_or(|least| count >= least)
                && number("maxItems").is_none_or(|most| count <= most)
        })
        && value.as_object().is_none_or(|fields| {
            let of =
                |name: &str| schema.get("properties").and_then(|properties| properties.get(name));
            let closed = schema.get("additionalProperties") == Some(&Value::Bool(false));
            all("required", &|names| {
                names.as_array().unwrap().iter().all(|n| fields.contains_key(n.as_str().unwrap()))
            }) && fields
                .iter()
                .all(|(name, value)| of(name).map_or(!closed, |schema| fits(schema, value)))
        })
}
