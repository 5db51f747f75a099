//! JSON as the servers behind the proxy read it: Python's reader and its like take more than the
//! standard allows, and what one of them takes, the guard must be able to read.

use serde_json::{Map, Number, Value};

/// Deepest nesting; Python's reader gives up at about the same.
const MAX_DEPTH: usize = 512;
/// Values in one body at most: each takes some ten times the memory of its text.
const MAX_VALUES: usize = 1 << 20;

/// Why a body is no JSON, also not in this sense; it holds none of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotJson(pub(crate) &'static str);

/// Reads a body. Beyond the standard it takes a byte order mark, UTF-16 and UTF-32, `NaN` and
/// `Infinity` (which become null), control characters in strings, and halves of surrogate pairs,
/// which become U+FFFD, as do bytes that are no text. Of fields of one name the last counts.
///
/// # Errors
/// It is no JSON, or nested or split up beyond all bounds.
pub(crate) fn lenient(body: &[u8]) -> Result<Value, NotJson> {
    let text = decode(body);
    let mut reader = Reader { rest: &text, values: 0 };
    let value = reader.value(0)?;
    reader.skip_space();
    if reader.rest.is_empty() { Ok(value) } else { Err(NotJson("something follows its JSON")) }
}

/// Reads what a server answers, as its clients would: the standard, or else laxly.
pub(crate) fn answered(body: &[u8]) -> Option<Value> {
    serde_json::from_slice(body).ok().or_else(|| lenient(body).ok())
}

/// The text of a body, by its byte order mark or by where its first characters have zeros.
fn decode(body: &[u8]) -> String {
    let utf16 = |bytes: &[u8], unit: fn([u8; 2]) -> u16| {
        let units = bytes.chunks_exact(2).map(|pair| unit([pair[0], pair[1]]));
        let decoded = char::decode_utf16(units);
        decoded.map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
    };
    let utf32 = |bytes: &[u8], unit: fn([u8; 4]) -> u32| {
        let units = bytes.chunks_exact(4).map(|four| unit([four[0], four[1], four[2], four[3]]));
        units.map(|unit| char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
    };
    match body {
        [0xff, 0xfe, 0, 0, rest @ ..] => utf32(rest, u32::from_le_bytes),
        [0, 0, 0xfe, 0xff, rest @ ..] => utf32(rest, u32::from_be_bytes),
        [0xff, 0xfe, rest @ ..] => utf16(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => utf16(rest, u16::from_be_bytes),
        [0xef, 0xbb, 0xbf, rest @ ..] => String::from_utf8_lossy(rest).into_owned(),
        [0, 0, 0, _, ..] => utf32(body, u32::from_be_bytes),
        [_, 0, 0, 0, ..] => utf32(body, u32::from_le_bytes),
        [0, _, ..] => utf16(body, u16::from_be_bytes),
        [_, 0, ..] => utf16(body, u16::from_le_bytes),
        _ => String::from_utf8_lossy(body).into_owned(),
    }
}

struct Reader<'a> {
    rest: &'a str,
    values: usize,
}

impl Reader<'_> {
    fn skip_space(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r']);
    }

    fn take(&mut self, text: &str) -> bool {
        let rest = self.rest.strip_prefix(text);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn value(&mut self, depth: usize) -> Result<Value, NotJson> {
        self.values += 1;
        if depth > MAX_DEPTH || self.values > MAX_VALUES {
            return Err(NotJson("its JSON is nested too deeply, or holds too many values"));
        }
        self.skip_space();
        const LITERALS: [(&str, Value); 6] = [
            ("null", Value::Null),
            ("true", Value::Bool(true)),
            ("false", Value::Bool(false)),
            ("NaN", Value::Null),
            ("Infinity", Value::Null),
            ("-Infinity", Value::Null),
        ];
        if self.take("{") {
            return self.object(depth);
        } else if self.take("[") {
            return self.array(depth);
        } else if self.take("\"") {
            return self.string().map(Value::String);
        }
        match LITERALS.into_iter().find(|(text, _)| self.take(text)) {
            Some((_, value)) => Ok(value),
            None => self.number(),
        }
    }

    fn array(&mut self, depth: usize) -> Result<Value, NotJson> {
        let mut items = Vec::new();
        self.skip_space();
        if self.take("]") {
            return Ok(Value::Array(items));
        }
        loop {
            items.push(self.value(depth + 1)?);
            self.skip_space();
            if self.take("]") {
                return Ok(Value::Array(items));
            } else if !self.take(",") {
                return Err(NotJson("an array of its JSON does not end"));
            }
        }
    }

    fn object(&mut self, depth: usize) -> Result<Value, NotJson> {
        let mut fields = Map::new();
        self.skip_space();
        if self.take("}") {
            return Ok(Value::Object(fields));
        }
        loop {
            self.skip_space();
            let name = if self.take("\"") { self.string() } else { Err(NotJson(NO_JSON)) }?;
            self.skip_space();
            if !self.take(":") {
                return Err(NotJson(NO_JSON));
            }
            fields.insert(name, self.value(depth + 1)?);
            self.skip_space();
            if self.take("}") {
                return Ok(Value::Object(fields));
            } else if !self.take(",") {
                return Err(NotJson("an object of its JSON does not end"));
            }
        }
    }

    /// A string, after its first quote.
    fn string(&mut self) -> Result<String, NotJson> {
        let mut text = String::new();
        loop {
            let end = self.rest.find(['"', '\\']).ok_or(NotJson("a string does not end"))?;
            let (plain, rest) = self.rest.split_at(end);
            text.push_str(plain);
            self.rest = rest;
            if self.take("\"") {
                return Ok(text);
            }
            text.push(self.escape()?);
        }
    }

    fn escape(&mut self) -> Result<char, NotJson> {
        const ESCAPES: [(&str, char); 8] = [
            ("\\\"", '"'),
            ("\\\\", '\\'),
            ("\\/", '/'),
            ("\\b", '\u{8}'),
            ("\\f", '\u{c}'),
            ("\\n", '\n'),
            ("\\r", '\r'),
            ("\\t", '\t'),
        ];
        if let Some((_, escaped)) = ESCAPES.into_iter().find(|(text, _)| self.take(text)) {
            return Ok(escaped);
        }
        let unit = self.unit().ok_or(NotJson("a string has an unknown escape"))?;
        let before = self.rest;
        if (0xd800..0xdc00).contains(&unit)
            && let Some(low) = self.unit()
        {
            if let Some(Ok(whole)) = char::decode_utf16([unit, low]).next() {
                return Ok(whole);
            }
            self.rest = before;
        }
        Ok(char::from_u32(u32::from(unit)).unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    /// `\uXXXX`.
    fn unit(&mut self) -> Option<u16> {
        let digits = self.rest.strip_prefix("\\u")?.get(..4)?;
        let is_hex = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        let unit = u16::from_str_radix(digits, 16).ok().filter(|_| is_hex)?;
        self.rest = &self.rest[6..];
        Some(unit)
    }

    fn number(&mut self) -> Result<Value, NotJson> {
        let is_part = |c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.' | 'e' | 'E');
        let end = self.rest.find(|c| !is_part(c)).unwrap_or(self.rest.len());
        let (text, rest) = self.rest.split_at(end);
        let has_digit = text.trim_start_matches('-').starts_with(|c: char| c.is_ascii_digit());
        self.rest = rest;
        if !has_digit || text.ends_with('.') {
            return Err(NotJson(NO_JSON));
        }
        if let Ok(number) = text.parse::<u64>() {
            return Ok(number.into());
        } else if let Ok(number) = text.parse::<i64>() {
            return Ok(number.into());
        }
        let number = text.parse::<f64>().map_err(|_| NotJson(NO_JSON))?;
        // Past the largest number lies infinity.
        Ok(Number::from_f64(number).map_or(Value::Null, Value::Number))
    }
}

const NO_JSON: &str = "it is not JSON";

#[cfg(test)]
mod tests;
