//! JSON as Python writes and reads it.

use crate::error::LoadError;
use crate::quoted::quoted_length;
use serde_json::Value;

/// Parses the JSON of the file `name`. A byte order mark is passed over, and half a surrogate pair
/// becomes U+FFFD. `NaN`, `Infinity` and `-Infinity` become texts: what asks for a number refuses
/// them, and nothing else minds.
pub(crate) fn parse(name: &str, bytes: &[u8]) -> Result<Value, LoadError> {
    let corrupt = |what: String| LoadError::corrupt(format!("{name} {what}"));
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        return Err(LoadError::foreign(format!("{name} is UTF-16: save it as UTF-8")));
    }
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    if bytes.trim_ascii().is_empty() {
        return Err(LoadError::incomplete(format!("{name} is empty")));
    }
    serde_json::from_slice(bytes).or_else(|error| {
        let text = std::str::from_utf8(bytes)
            .map_err(|error| corrupt(format!("is not UTF-8: {error}")))?;
        serde_json::from_str(&strict_text(text)).map_err(|_| match error.is_eof() {
            true => LoadError::incomplete(format!("{name} is not JSON: {error}")),
            false => corrupt(format!("is not JSON: {error}")),
        })
    })
}

/// The same JSON without what only Python reads.
fn strict_text(text: &str) -> String {
    const WORDS: [&str; 3] = ["-Infinity", "Infinity", "NaN"];
    let mut out = String::with_capacity(text.len() + 64);
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let length = match c {
            '"' => {
                let end = quoted_length(rest, '"');
                out.push_str(&paired(&rest[..end]));
                end
            }
            _ => match WORDS.into_iter().find(|word| rest.starts_with(word)) {
                Some(word) => {
                    out.extend(['"', word.chars().next().unwrap_or_default()]);
                    out.push_str(&word[1..]);
                    out.push('"');
                    word.len()
                }
                None => {
                    out.push(c);
                    c.len_utf8()
                }
            },
        };
        rest = &rest[length..];
    }
    out
}

/// A string with U+FFFD in place of each half of a surrogate pair.
fn paired(string: &str) -> String {
    let mut out = String::with_capacity(string.len());
    let mut rest = string;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let length = match (surrogate(rest), rest.get(6..).and_then(surrogate)) {
            (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => 12,
            (Some(_), _) => {
                out.push('\u{fffd}');
                rest = &rest[6..];
                continue;
            }
            // The character that is escaped, which may be a backslash.
            _ => 1 + rest[1..].chars().next().map_or(0, char::len_utf8),
        };
        out.push_str(&rest[..length]);
        rest = &rest[length..];
    }
    out.push_str(rest);
    out
}

/// The surrogate that is escaped at the start of `rest`.
fn surrogate(rest: &str) -> Option<u32> {
    let digits = rest.strip_prefix("\\u")?.get(..4)?;
    u32::from_str_radix(digits, 16).ok().filter(|unit| (0xd800..=0xdfff).contains(unit))
}

#[cfg(test)]
mod tests;
