//! Fields of `config.json`, read with their ranges.

use crate::error::LoadError;
use serde_json::Value;

/// An object of `config.json`.
#[derive(Clone, Copy)]
pub(super) struct Fields<'a> {
    json: &'a Value,
}

impl<'a> Fields<'a> {
    /// The fields of `json`; none where it is not an object.
    pub(super) fn new(json: &'a Value) -> Self {
        Self { json }
    }

    /// The fields of an object inside, or of no object.
    pub(super) fn inside(value: Option<&'a Value>) -> Self {
        Self { json: value.unwrap_or(&Value::Null) }
    }

    /// A value that is present and not null.
    pub(super) fn get(&self, key: &str) -> Option<&'a Value> {
        self.json.get(key).filter(|value| !value.is_null())
    }

    pub(super) fn text(&self, key: &str) -> Option<&'a str> {
        self.get(key).and_then(Value::as_str)
    }

    pub(super) fn bool(&self, key: &str) -> Option<bool> {
        self.get(key).and_then(Value::as_bool)
    }

    /// Whether there is a positive number, or what is true.
    pub(super) fn is_set(&self, key: &str) -> bool {
        self.get(key).is_some_and(|value| {
            value.as_bool() == Some(true) || value.as_f64().is_some_and(|value| value > 0.0)
        })
    }

    /// A positive, finite number.
    pub(super) fn number(&self, key: &str) -> Result<Option<f64>, LoadError> {
        match self.get(key).map(Value::as_f64) {
            None => Ok(None),
            Some(Some(value)) if value > 0.0 && value.is_finite() => Ok(Some(value)),
            Some(_) => Err(out_of_range(key)),
        }
    }

    /// A factor.
    pub(super) fn factor(&self, key: &str, default: f32) -> Result<f32, LoadError> {
        let Some(factor) = self.number(key)? else { return Ok(default) };
        #[allow(clippy::cast_possible_truncation)]
        Some(factor as f32).filter(|factor| factor.is_normal()).ok_or_else(|| out_of_range(key))
    }

    /// As many positive numbers, which the file must have.
    pub(super) fn divisors(&self, key: &str, count: usize) -> Result<Vec<f32>, LoadError> {
        let Some(list) = self.get(key) else { return Err(missing(key)) };
        #[allow(clippy::cast_possible_truncation)]
        let number = |value: &Value| {
            let number = value.as_f64()? as f32;
            Some(number).filter(|number| *number > 0.0 && number.is_normal())
        };
        let numbers: Option<Vec<f32>> =
            list.as_array().and_then(|list| list.iter().map(number).collect());
        numbers.filter(|numbers| numbers.len() == count).ok_or_else(|| {
            LoadError::corrupt(format!(
                "{key} in config.json is no list of {count} positive numbers"
            ))
        })
    }

    /// A soft cap: null means none, and a file without the key has the default.
    pub(super) fn cap(&self, key: &str, default: Option<f32>) -> Result<Option<f32>, LoadError> {
        if self.json.get(key).is_none() {
            return Ok(default);
        }
        #[allow(clippy::cast_possible_truncation)]
        let cap = self.number(key)?.map(|cap| cap as f32);
        cap.filter(|cap| !cap.is_normal()).map_or(Ok(cap), |_| Err(out_of_range(key)))
    }

    /// An integer in `1..=most`, which the file must have.
    pub(super) fn size(&self, key: &str, most: usize) -> Result<usize, LoadError> {
        match self.get(key).map(Value::as_u64) {
            Some(Some(value)) if value >= 1 && value <= most as u64 => {
                usize::try_from(value).map_err(|_| out_of_range(key))
            }
            Some(_) => Err(out_of_range(key)),
            None => Err(missing(key)),
        }
    }

    /// An integer in `1..=most`.
    pub(super) fn size_or(
        &self,
        key: &str,
        default: usize,
        most: usize,
    ) -> Result<usize, LoadError> {
        if self.get(key).is_some() { self.size(key, most) } else { Ok(default) }
    }
}

/// The error for a field that is not there.
pub(super) fn missing(key: &str) -> LoadError {
    LoadError::corrupt(format!("config.json lacks {key}"))
}

/// The error for a number that cannot be what it is.
pub(super) fn out_of_range(key: &str) -> LoadError {
    LoadError::corrupt(format!("{key} in config.json is out of range"))
}
