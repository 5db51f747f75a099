//! `tojson` as transformers has it: `json.dumps` of Python, without escapes for HTML.

use super::{invalid, positional};
use minijinja::value::{Rest, Value, ValueKind, ValueOrKwargs};
use minijinja::{Error, State};

/// Deepest value that is written.
const MAX_DEPTH: usize = 256;

/// How JSON is laid out.
struct Style {
    ensure_ascii: bool,
    sort_keys: bool,
    /// What each level is indented by; `None` for one line.
    indent: Option<String>,
    item_separator: String,
    key_separator: String,
}

/// `tojson(ensure_ascii=False, indent=None, separators=None, sort_keys=False)`.
pub(super) fn filter(
    state: &State,
    value: &Value,
    arguments: Rest<ValueOrKwargs>,
) -> Result<Value, Error> {
    let names = ["ensure_ascii", "indent", "separators", "sort_keys"];
    let style = Style::read(&positional(&arguments.into_values(), &names)?)?;
    let mut out = String::new();
    style.write(state, value, 0, &mut out)?;
    // What is returned is paid for, too; this is the work to write it.
    state.consume_fuel(out.len() as u64 / 8)?;
    Ok(out.into())
}

impl Style {
    fn read(arguments: &[Value]) -> Result<Self, Error> {
        let given = |index: usize| arguments.get(index).filter(|value| !value.is_none());
        // One argument without a name is Jinja's own: how far to indent.
        let first = given(0).filter(|value| value.kind() == ValueKind::Number);
        let indent = match given(1).or(first) {
            None => None,
            Some(text) if text.as_str().is_some() => text.as_str().map(str::to_owned),
            Some(number) => Some(" ".repeat(usize::try_from(number.clone())?.min(64))),
        };
        let comma = if indent.is_some() { "," } else { ", " };
        let (item_separator, key_separator) = match given(2) {
            None => (comma.to_owned(), ": ".to_owned()),
            Some(pair) => {
                let mut texts = pair.try_iter()?.map(|text| text.as_str().map(str::to_owned));
                match (texts.next().flatten(), texts.next().flatten(), texts.next()) {
                    (Some(item), Some(key), None) => (item, key),
                    _ => return Err(invalid("the separators of tojson are not two texts")),
                }
            }
        };
        let is_set = |index: usize| given(index).is_some_and(Value::is_true);
        Ok(Self {
            ensure_ascii: first.is_none() && is_set(0),
            sort_keys: is_set(3),
            indent,
            item_separator,
            key_separator,
        })
    }

    fn write(
        &self,
        state: &State,
        value: &Value,
        depth: usize,
        out: &mut String,
    ) -> Result<(), Error> {
        state.consume_fuel(1)?;
        if depth > MAX_DEPTH {
            return Err(invalid("a value for tojson is nested too deeply"));
        }
        match value.kind() {
            ValueKind::Undefined | ValueKind::None => out.push_str("null"),
            ValueKind::Bool => out.push_str(if value.is_true() { "true" } else { "false" }),
            ValueKind::Number => out.push_str(&number(value)),
            ValueKind::Seq | ValueKind::Iterable => {
                out.push('[');
                let mut any = false;
                for item in value.try_iter()?.checked() {
                    self.begin(any, depth + 1, out);
                    any = true;
                    self.write(state, &item?, depth + 1, out)?;
                }
                self.end(any, depth, out);
                out.push(']');
            }
            ValueKind::Map => {
                let mut keys: Vec<Value> = value.try_iter()?.collect();
                if self.sort_keys {
                    keys.sort_by_cached_key(Value::to_string);
                }
                out.push('{');
                for (index, key) in keys.iter().enumerate() {
                    self.begin(index > 0, depth + 1, out);
                    match key.kind() {
                        ValueKind::None | ValueKind::Bool | ValueKind::Number => {
                            out.push('"');
                            self.write(state, key, depth + 1, out)?;
                            out.push('"');
                        }
                        _ => self.text(&key.to_string(), out),
                    }
                    out.push_str(&self.key_separator);
                    self.write(state, &value.get_item(key)?, depth + 1, out)?;
                }
                self.end(!keys.is_empty(), depth, out);
                out.push('}');
            }
            ValueKind::Invalid => return Err(invalid(value.to_string())),
            _ => self.text(&value.to_string(), out),
        }
        Ok(())
    }

    fn begin(&self, any: bool, depth: usize, out: &mut String) {
        if any {
            out.push_str(&self.item_separator);
        }
        self.line(depth, out);
    }

    fn end(&self, any: bool, depth: usize, out: &mut String) {
        if any {
            self.line(depth, out);
        }
    }

    fn line(&self, depth: usize, out: &mut String) {
        if let Some(indent) = &self.indent {
            out.push('\n');
            (0..depth).for_each(|_| out.push_str(indent));
        }
    }

    fn text(&self, text: &str, out: &mut String) {
        out.push('"');
        for c in text.chars() {
            match c {
                '"' => out.push_str("\\\""),
                '\\' => out.push_str("\\\\"),
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                '\u{8}' => out.push_str("\\b"),
                '\u{c}' => out.push_str("\\f"),
                '\0'..='\u{1f}' => out.push_str(&format!("\\u{:04x}", u32::from(c))),
                // Noncharacters are the marks in text that looks like a control token.
                '\u{fdd0}'..='\u{fdef}' => out.push(c),
                _ if self.ensure_ascii && !c.is_ascii() => {
                    let units = c.encode_utf16(&mut [0; 2]).to_vec();
                    units.iter().for_each(|unit| out.push_str(&format!("\\u{unit:04x}")));
                }
                _ => out.push(c),
            }
        }
        out.push('"');
    }
}

/// A number as Python writes it.
fn number(value: &Value) -> String {
    if value.is_integer() {
        return value.to_string();
    }
    let Ok(float) = f64::try_from(value.clone()) else { return value.to_string() };
    if !float.is_finite() {
        let infinity = if float > 0.0 { "Infinity" } else { "-Infinity" };
        return if float.is_nan() { "NaN" } else { infinity }.to_owned();
    }
    if float == 0.0 || (1e-4..1e16).contains(&float.abs()) {
        return format!("{float:?}");
    }
    let text = format!("{float:e}");
    match text.split_once('e') {
        Some((digits, exponent)) => {
            let (sign, exponent) =
                exponent.strip_prefix('-').map_or(('+', exponent), |exponent| ('-', exponent));
            format!("{digits}e{sign}{exponent:0>2}")
        }
        None => text,
    }
}
