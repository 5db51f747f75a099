//! Samples as lines of a text, as one array, or one after another.

use super::json;
use super::row::{Row, Rows, Unit};
use crate::error::{Result, bail};
use serde_json::Value;
use std::io::{BufRead, BufReader, Cursor, Read};

/// Size of the longest line that is read, in bytes.
const MAX_LINE: u64 = 4 << 20;
/// Size of the longest text that is read as a whole, in bytes.
pub(super) const MAX_WHOLE: u64 = 512 << 20;

/// The samples of a text in UTF-8: JSON lines, an array, or values with line breaks in them.
///
/// # Errors
/// If the text cannot be read, or is an array that is not JSON.
pub(super) fn rows(text: Box<dyn Read>) -> Result<Rows> {
    let mut reader = BufReader::new(text);
    let mut first = Vec::new();
    let mut blank = 0;
    // The first line that is not blank tells which of the three it is.
    while reader.by_ref().take(MAX_LINE + 1).read_until(b'\n', &mut first)? > 0 {
        if !first.trim_ascii().is_empty() {
            break;
        }
        first.clear();
        blank += 1;
    }
    let start = first.trim_ascii_start().first().copied();
    let is_whole = matches!(start, Some(b'[' | b'{')) && json::is_incomplete(&first);
    let is_array = start == Some(b'[') && reader.fill_buf()?.is_empty();
    let rest = Cursor::new(first).chain(reader);
    if !(is_whole || is_array) {
        return Ok(lines(Box::new(rest), blank));
    }
    let text = whole(rest)?;
    match json::values(&text) {
        Ok(values) => Ok(items(values)),
        Err(error) if start == Some(b'[') => bail!("it {}", json::reason(&error)),
        // A line that is cut.
        Err(_) => Ok(lines(Box::new(Cursor::new(text)), blank)),
    }
}

/// Everything of a text.
///
/// # Errors
/// If it cannot be read, or is too long.
pub(super) fn whole(text: impl Read) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    text.take(MAX_WHOLE + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_WHOLE {
        bail!(
            "it is not one JSON object per line, and has more than {MAX_WHOLE} bytes: write it as \
             JSON lines, `jq -c '.[]'` for an array"
        );
    }
    Ok(bytes)
}

/// The elements of an array of samples, or values one after another.
fn items(values: Vec<Value>) -> Rows {
    let is_message = |value: &Value| value.get("role").or(value.get("from")).is_some();
    let values = match <[Value; 1]>::try_from(values) {
        // An array of messages is one sample.
        Ok([Value::Array(values)]) if !values.iter().any(is_message) => values,
        Ok(one) => Vec::from(one),
        Err(values) => values,
    };
    let row = |(number, value)| Ok(Row { unit: Unit::Item, number, value: Ok(value) });
    Box::new((1..).zip(values).map(row))
}

/// The lines of a text, after so many blank ones.
fn lines(text: Box<dyn Read>, blank: u64) -> Rows {
    let mut reader = BufReader::new(text);
    let mut number = blank;
    let mut text = Vec::new();
    Box::new(std::iter::from_fn(move || -> Option<Result<Row>> {
        loop {
            text.clear();
            match reader.by_ref().take(MAX_LINE + 1).read_until(b'\n', &mut text) {
                Ok(0) => return None,
                Ok(read) => {
                    number += 1;
                    let row = |value| Some(Ok(Row { unit: Unit::Line, number, value }));
                    if read as u64 > MAX_LINE {
                        if !text.ends_with(b"\n")
                            && let Err(error) = pass_line(&mut reader)
                        {
                            return Some(Err(error.into()));
                        }
                        return row(Err(format!("is longer than {MAX_LINE} bytes: divide it")));
                    }
                    if !text.trim_ascii().is_empty() {
                        return row(json::parse(&text));
                    }
                }
                Err(error) => return Some(Err(error.into())),
            }
        }
    }))
}

/// Passes over the rest of a line.
fn pass_line(reader: &mut impl BufRead) -> std::io::Result<()> {
    loop {
        let buffer = reader.fill_buf()?;
        let end = buffer.iter().position(|byte| *byte == b'\n');
        let length = buffer.len();
        reader.consume(end.map_or(length, |end| end + 1));
        if end.is_some() || length == 0 {
            return Ok(());
        }
    }
}
