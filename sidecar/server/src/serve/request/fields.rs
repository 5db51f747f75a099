//! JSON objects that are read field by field, so that each error names its field.

use crate::serve::error::ApiError;
use serde_json::{Map, Value};

/// Longest name of a function or a schema in bytes, as in OpenAI's API.
const MAX_IDENTIFIER: usize = 64;

/// A JSON object that is read field by field.
pub(in crate::serve) struct Fields {
    map: Map<String, Value>,
    /// Where it stands in the body; empty for the body itself.
    path: String,
}

impl Fields {
    /// An object at a path. A field that is null counts as absent.
    pub(in crate::serve) fn new(mut map: Map<String, Value>, path: impl Into<String>) -> Self {
        map.retain(|_, value| !value.is_null());
        Self { map, path: path.into() }
    }

    /// A value at a path, which must be an object.
    pub(in crate::serve) fn of(value: Value, path: impl Into<String>) -> Result<Self, ApiError> {
        match value {
            Value::Object(map) => Ok(Self::new(map, path)),
            other => Err(wrong_type(path.into(), "an object", &other)),
        }
    }

    /// The path of a field.
    pub(in crate::serve) fn name(&self, field: &str) -> String {
        if self.path.is_empty() { field.to_owned() } else { format!("{}.{field}", self.path) }
    }

    pub(in crate::serve) fn take(&mut self, field: &str) -> Option<Value> {
        self.map.remove(field)
    }

    pub(in crate::serve) fn text(&mut self, field: &str) -> Result<Option<String>, ApiError> {
        match self.take(field) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(wrong_type(self.name(field), "a string", &other)),
        }
    }

    /// The field `name` of a function or a schema, which must be there, as OpenAI's API takes it.
    pub(in crate::serve) fn identifier(&mut self) -> Result<String, ApiError> {
        let path = self.name("name");
        let name = self.text("name")?.ok_or_else(|| missing(&path))?;
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        if !(1..=MAX_IDENTIFIER).contains(&name.len()) || !name.chars().all(plain) {
            let message = format!(
                "Invalid '{path}': 1 to {MAX_IDENTIFIER} letters, digits, dashes and underscores."
            );
            return Err(ApiError::invalid(path, "invalid_value", message));
        }
        Ok(name)
    }

    pub(in crate::serve) fn boolean(&mut self, field: &str) -> Result<Option<bool>, ApiError> {
        match self.take(field) {
            None => Ok(None),
            Some(Value::Bool(value)) => Ok(Some(value)),
            Some(other) => Err(wrong_type(self.name(field), "a boolean", &other)),
        }
    }

    pub(in crate::serve) fn number(
        &mut self,
        field: &str,
        range: std::ops::RangeInclusive<f64>,
    ) -> Result<Option<f32>, ApiError> {
        #[allow(clippy::cast_possible_truncation)]
        Ok(self.double(field, range)?.map(|number| number as f32))
    }

    pub(in crate::serve) fn double(
        &mut self,
        field: &str,
        range: std::ops::RangeInclusive<f64>,
    ) -> Result<Option<f64>, ApiError> {
        let Some(value) = self.take(field) else { return Ok(None) };
        let Some(number) = value.as_f64() else {
            return Err(wrong_type(self.name(field), "a number", &value));
        };
        if !range.contains(&number) {
            let message =
                format!("Invalid '{field}': must be from {} to {}.", range.start(), range.end());
            return Err(ApiError::invalid(self.name(field), "invalid_value", message));
        }
        Ok(Some(number))
    }

    pub(in crate::serve) fn integer(
        &mut self,
        field: &str,
        range: std::ops::RangeInclusive<i64>,
    ) -> Result<Option<i64>, ApiError> {
        let Some(value) = self.take(field) else { return Ok(None) };
        if !(value.is_i64() || value.is_u64()) {
            return Err(wrong_type(self.name(field), "an integer", &value));
        }
        let number = value.as_i64().unwrap_or(i64::MAX);
        if number < *range.start() {
            let message = format!("Invalid '{field}': must be at least {}.", range.start());
            return Err(ApiError::invalid(self.name(field), "integer_below_min_value", message));
        }
        if number > *range.end() {
            let message = format!("Invalid '{field}': must be at most {}.", range.end());
            return Err(ApiError::invalid(self.name(field), "integer_above_max_value", message));
        }
        Ok(Some(number))
    }

    pub(in crate::serve) fn object(&mut self, field: &str) -> Result<Option<Self>, ApiError> {
        self.take(field).map(|value| Self::of(value, self.name(field))).transpose()
    }

    /// The path of a field that was not read.
    pub(in crate::serve) fn first(&self) -> Option<String> {
        self.map.keys().next().map(|field| self.name(field))
    }

    /// Nothing else may be there.
    pub(in crate::serve) fn done(&self) -> Result<(), ApiError> {
        match self.first() {
            None => Ok(()),
            Some(param) => {
                let message = format!("Unknown parameter: '{param}'.");
                Err(ApiError::invalid(param, "unknown_parameter", message))
            }
        }
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(n) if n.is_f64() => "a decimal number",
        Value::Number(_) => "an integer",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

pub(in crate::serve) fn wrong_type(param: String, expected: &str, found: &Value) -> ApiError {
    let message = format!(
        "Invalid type for '{param}': expected {expected}, but got {} instead.",
        kind(found)
    );
    ApiError::invalid(param, "invalid_type", message)
}

pub(in crate::serve) fn missing(param: &str) -> ApiError {
    ApiError::invalid(
        param,
        "missing_required_parameter",
        format!("Missing required parameter: '{param}'."),
    )
}

pub(in crate::serve) fn unsupported(param: impl Into<String>, message: &str) -> ApiError {
    ApiError::invalid(param, "unsupported_parameter", message)
}
