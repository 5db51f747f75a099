//! Errors about fields of a request, and checks of their values.

use super::integer::Integer;
use crate::http::ApiError;
use std::ops::RangeInclusive;

/// Longest name of a function or a schema in bytes, as in OpenAI's API.
const MAX_IDENTIFIER: usize = 64;

/// A field has a value that makes no sense.
pub(crate) fn invalid(param: impl Into<String>, message: impl Into<String>) -> ApiError {
    ApiError::invalid(param, "invalid_value", message)
}

pub(super) fn wrong_type(param: String, expected: &str, found: &str) -> ApiError {
    let message =
        format!("Invalid type for '{param}': expected {expected}, but got {found} instead.");
    ApiError::invalid(param, "invalid_type", message)
}

pub(crate) fn missing(param: &str) -> ApiError {
    let message = format!("Missing required parameter: '{param}'.");
    ApiError::invalid(param, "missing_required_parameter", message)
}

pub(crate) fn unknown(param: impl Into<String>) -> ApiError {
    let param = param.into();
    let message = format!("Unknown parameter: '{param}'.");
    ApiError::invalid(param, "unknown_parameter", message)
}

pub(crate) fn unsupported(param: impl Into<String>, message: &str) -> ApiError {
    ApiError::invalid(param, "unsupported_parameter", message)
}

/// A number within a range.
pub(crate) fn number(
    param: &str,
    number: Option<f64>,
    range: RangeInclusive<f64>,
) -> Result<Option<f64>, ApiError> {
    match number {
        Some(number) if !range.contains(&number) => {
            let (start, end) = (range.start(), range.end());
            Err(invalid(param, format!("Invalid '{param}': must be from {start} to {end}.")))
        }
        number => Ok(number),
    }
}

/// An integer within a range.
pub(crate) fn integer(
    param: &str,
    number: Option<Integer>,
    range: RangeInclusive<i64>,
) -> Result<Option<i64>, ApiError> {
    let Some(number) = number.map(Integer::get) else { return Ok(None) };
    let (start, end) = (range.start(), range.end());
    if number < *start {
        let message = format!("Invalid '{param}': must be at least {start}.");
        return Err(ApiError::invalid(param, "integer_below_min_value", message));
    }
    if number > *end {
        let message = format!("Invalid '{param}': must be at most {end}.");
        return Err(ApiError::invalid(param, "integer_above_max_value", message));
    }
    Ok(Some(number))
}

/// The name of a function or a schema, as OpenAI's API takes it.
pub(crate) fn identifier(param: impl Into<String>, name: &str) -> Result<(), ApiError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if (1..=MAX_IDENTIFIER).contains(&name.len()) && name.chars().all(plain) {
        return Ok(());
    }
    let param = param.into();
    let message = format!(
        "Invalid '{param}': 1 to {MAX_IDENTIFIER} letters, digits, dashes and underscores."
    );
    Err(invalid(param, message))
}
