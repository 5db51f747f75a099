//! JSON as Python's and other tools write it.

use serde_json::Value;
use serde_json::error::Category;
use std::borrow::Cow;

/// Parses JSON.
///
/// # Errors
/// Why it is none, and at which byte, without words of it.
pub(super) fn parse(text: &[u8]) -> Result<Value, String> {
    let text = text.strip_prefix("\u{feff}".as_bytes()).unwrap_or(text).trim_ascii_end();
    if let Ok(value) = serde_json::from_slice(text) {
        return Ok(value);
    }
    if let Err(error) = std::str::from_utf8(text) {
        return Err(format!(
            "is not UTF-8 at byte {}: save the file as UTF-8",
            error.valid_up_to() + 1
        ));
    }
    serde_json::from_slice(&with_null_for_no_number(text)).map_err(|error| reason(&error))
}

/// The values of a text, one after another.
///
/// # Errors
/// If one is no JSON.
pub(super) fn values(text: &[u8]) -> serde_json::Result<Vec<Value>> {
    let read = |text: &[u8]| -> serde_json::Result<Vec<Value>> {
        serde_json::Deserializer::from_slice(text).into_iter().collect()
    };
    read(text).or_else(|_| read(&with_null_for_no_number(text)))
}

/// Whether a text is the beginning of JSON that goes on.
pub(super) fn is_incomplete(text: &[u8]) -> bool {
    let parsed = serde_json::from_slice::<Value>(&with_null_for_no_number(text));
    parsed.is_err_and(|error| error.is_eof())
}

/// Why a text is not JSON. A parser of plain values never quotes what it reads.
pub(super) fn reason(error: &serde_json::Error) -> String {
    let what = error.to_string();
    let what = what.split(" at line ").next().unwrap_or_default();
    let at = match error.line() {
        0 | 1 => format!("byte {}", error.column()),
        line => format!("line {line}, byte {}", error.column()),
    };
    match error.classify() {
        Category::Eof => {
            format!("is cut: its JSON ends unfinished at {at}: fetch it again, or write it anew")
        }
        _ => format!(
            "is not JSON: {what} at {at}: write it as JSON, such as with Python's json.dumps"
        ),
    }
}

/// The same text, with `null` for the numbers that Python writes and JSON does not have: `NaN`,
/// `Infinity` and `-Infinity`.
fn with_null_for_no_number(text: &[u8]) -> Cow<'_, [u8]> {
    const WORDS: [&[u8]; 3] = [b"NaN", b"-Infinity", b"Infinity"];
    let mut changed: Option<Vec<u8>> = None;
    let (mut position, mut is_quoted) = (0, false);
    while let Some(byte) = text.get(position) {
        let word = WORDS.into_iter().find(|word| text[position..].starts_with(word));
        let (length, written): (usize, &[u8]) = match (byte, word) {
            (b'\\', _) if is_quoted => (2, &text[position..text.len().min(position + 2)]),
            (_, Some(word)) if !is_quoted => {
                changed.get_or_insert_with(|| text[..position].to_vec());
                (word.len(), b"null")
            }
            _ => {
                is_quoted ^= *byte == b'"';
                (1, &text[position..=position])
            }
        };
        if let Some(changed) = &mut changed {
            changed.extend_from_slice(written);
        }
        position += length;
    }
    changed.map_or(Cow::Borrowed(text), Cow::Owned)
}
