//! Numbers and booleans as pydantic reads them, which most model servers read their requests with.

use serde_json::Value;

/// A whole number, also as a decimal (`1.0`), as text (`"2"`), or as a boolean.
pub(super) fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::Bool(value) => Some(i64::from(*value)),
        Value::Number(number) => number.as_i64().or_else(|| whole(number.as_f64()?)),
        Value::String(text) => {
            let text = text.trim();
            text.parse().ok().or_else(|| whole(text.parse().ok()?))
        }
        _ => None,
    }
}

fn whole(number: f64) -> Option<i64> {
    // Larger ones are not exact, and no field here takes any.
    let is_whole = number.fract() == 0.0 && number.abs() < 1e15;
    #[allow(clippy::cast_possible_truncation, reason = "it is whole and small enough")]
    is_whole.then_some(number as i64)
}

/// A boolean, also as a number or as a word.
pub(super) fn boolean(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(value) => Some(*value),
        Value::String(word) => match word.to_ascii_lowercase().as_str() {
            "true" | "t" | "yes" | "y" | "on" | "1" => Some(true),
            "false" | "f" | "no" | "n" | "off" | "0" => Some(false),
            _ => None,
        },
        value => match integer(value)? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        },
    }
}
