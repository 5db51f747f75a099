//! What is wrong with a body: which field, and how.

use super::invalid::{invalid, missing, unknown, unsupported, wrong_type};
use super::tool::FunctionType;
use crate::http::ApiError;
use serde::de::{Error, Expected, Unexpected};
use serde_path_to_error::{Path, Segment};
use std::fmt;

/// Why a value is no `T`.
#[derive(Debug)]
pub(super) enum Misfit {
    WrongType { expected: String, found: &'static str },
    Missing(&'static str),
    Unknown,
    UnknownVariant(&'static [&'static str]),
    Other(String),
}

impl Misfit {
    /// As an error of the API about the field `param`.
    pub(super) fn into_api_error(self, param: String) -> ApiError {
        match self {
            Self::WrongType { expected, found } => wrong_type(param, &expected, found),
            Self::Missing(field) if param.is_empty() => missing(field),
            Self::Missing(field) => missing(&format!("{param}.{field}")),
            Self::Unknown => unknown(param),
            Self::UnknownVariant(FunctionType::VARIANTS) => unsupported(
                param,
                "Only functions are supported by this server: \"type\": \"function\".",
            ),
            Self::UnknownVariant(variants) => {
                let message = format!("Invalid '{param}': must be one of {}.", variants.join(", "));
                invalid(param, message)
            }
            Self::Other(message) => {
                let message = format!("Invalid '{param}': {message}.");
                invalid(param, message)
            }
        }
    }
}

/// A path as errors name it: `messages[0].content`. Left out are the index of a stop string, and
/// the name of a vector.
pub(super) fn param(path: &Path) -> String {
    let keys: Vec<_> = path
        .iter()
        .map(|segment| match segment {
            Segment::Map { key } => key.as_str(),
            _ => "",
        })
        .collect();
    let is_shown = |depth: usize| match keys.as_slice() {
        ["stop", ..] => depth == 0,
        ["personaguard", "traits", ..] => depth != 2,
        _ => true,
    };
    let mut param = String::new();
    for (_, segment) in path.iter().enumerate().filter(|(depth, _)| is_shown(*depth)) {
        match segment {
            Segment::Seq { index } => param.push_str(&format!("[{index}]")),
            Segment::Map { key } if param.is_empty() => param.push_str(key),
            Segment::Map { key } => param.extend([".", key]),
            Segment::Enum { .. } | Segment::Unknown => {}
        }
    }
    param
}

impl std::error::Error for Misfit {}

impl fmt::Display for Misfit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{self:?}")
    }
}

impl Error for Misfit {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::Other(message.to_string())
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::WrongType { expected: plain(&expected.to_string()), found: kind(found) }
    }

    fn missing_field(field: &'static str) -> Self {
        Self::Missing(field)
    }

    fn unknown_field(_: &str, _: &'static [&'static str]) -> Self {
        Self::Unknown
    }

    fn unknown_variant(_: &str, variants: &'static [&'static str]) -> Self {
        Self::UnknownVariant(variants)
    }
}

/// JSON's word for what serde expects.
fn plain(expected: &str) -> String {
    match expected {
        "f64" => "a number",
        "a sequence" => "an array",
        "a map" => "an object",
        other => other,
    }
    .to_owned()
}

fn kind(found: Unexpected<'_>) -> &'static str {
    match found {
        Unexpected::Unit | Unexpected::Option => "null",
        Unexpected::Bool(_) => "a boolean",
        Unexpected::Signed(_) | Unexpected::Unsigned(_) => "an integer",
        Unexpected::Float(_) => "a decimal number",
        Unexpected::Str(_) => "a string",
        Unexpected::Seq => "an array",
        Unexpected::Map => "an object",
        _ => "something else",
    }
}
