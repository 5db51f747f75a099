//! What may leave although nobody scores it: numbers, and strings that a grammar keeps from saying
//! anything.

mod reference;

pub(super) use reference::{is_reference, prefix as reference_prefix};

use serde_json::Value;

/// What a value may hold.
#[derive(Clone, Copy, Debug)]
pub(super) enum Shape {
    /// A number.
    Number,
    /// True or false.
    Flag,
    /// A string that [`is_reference`] takes.
    Reference,
    /// One of these strings.
    Word(&'static [&'static str]),
    /// These fields, each if it fits.
    Object(&'static [(&'static str, Shape)]),
    /// As many of these as there are.
    List(&'static Shape),
    /// Numbers of an embedding, in base64.
    Floats,
}

impl Shape {
    /// Takes out of a value what does not fit; false where the value itself does not. Null fits
    /// everywhere.
    pub(super) fn keep(self, value: &mut Value) -> bool {
        match (self, value) {
            (_, Value::Null) | (Self::Number, Value::Number(_)) | (Self::Flag, Value::Bool(_)) => {
                true
            }
            (Self::Reference, Value::String(text)) => text.is_empty() || is_reference(text),
            (Self::Word(words), Value::String(text)) => words.contains(&text.as_str()),
            (Self::Floats, Value::String(text)) => is_floats(text),
            (Self::List(shape), Value::Array(values)) => {
                values.retain_mut(|value| shape.keep(value));
                true
            }
            (Self::Object(fields), Value::Object(object)) => {
                object.retain(|name, value| {
                    let known = fields.iter().find(|(known, _)| known == name);
                    known.is_some_and(|(_, shape)| shape.keep(value))
                });
                true
            }
            _ => false,
        }
    }

    /// The value, or null where it does not fit.
    pub(super) fn of(self, mut value: Value) -> Value {
        if self.keep(&mut value) { value } else { Value::Null }
    }
}

/// Longest name in bytes.
const MAX_IDENTIFIER: usize = 128;

/// Whether a text can be the name of something that its owner has named, such as a model: letters,
/// digits and a few marks, at least one digit among them. A word is none, and neither is anything
/// with a space. Only where no model writes: an answer has names of other kinds.
pub(super) fn is_identifier(text: &str) -> bool {
    let is_plain =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b':' | b'/');
    text.len() <= MAX_IDENTIFIER
        && text.bytes().all(is_plain)
        && text.bytes().any(|byte| byte.is_ascii_digit())
}

/// Whether a text is numbers of 32 bits in base64, of the sizes that embeddings have.
fn is_floats(text: &str) -> bool {
    use base64::Engine as _;
    let Ok(bytes) = base64::engine::general_purpose::STANDARD.decode(text) else { return false };
    let numbers =
        bytes.chunks_exact(4).map(|four| f32::from_le_bytes([four[0], four[1], four[2], four[3]]));
    bytes.len() >= 64
        && bytes.len().is_multiple_of(4)
        && numbers.clone().all(|number| number.is_finite() && number.abs() < 1e4)
}

#[cfg(test)]
mod tests;
