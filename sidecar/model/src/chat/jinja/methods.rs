//! Methods of Python's strings, lists and dictionaries, beyond those that come with the engine.

use super::{invalid, positional};
use minijinja::value::{Tuple, Value, ValueKind, from_args};
use minijinja::{Error, ErrorKind, State};
use minijinja_contrib::pycompat::unknown_method_callback;

/// Calls a method of a value that has none of its own.
pub(super) fn call(
    state: &mut State,
    value: &Value,
    method: &str,
    arguments: &[Value],
) -> Result<Value, Error> {
    let known = match value.as_str() {
        Some(text) => text_method(state, text, method, arguments)?,
        None => container_method(value, method, arguments)?,
    };
    match known {
        Some(result) => Ok(result),
        None => unknown_method_callback(state, value, method, arguments),
    }
}

/// The result of a method of text; `None` for one that is not known here.
fn text_method(
    state: &mut State,
    text: &str,
    method: &str,
    arguments: &[Value],
) -> Result<Option<Value>, Error> {
    let result: Value = match method {
        "split" => {
            let arguments = positional(arguments, &["sep", "maxsplit"])?;
            let (separator, most): (Option<&str>, Option<i64>) = from_args(&arguments)?;
            split(text, separator, most)?
        }
        "rsplit" => {
            let arguments = positional(arguments, &["sep", "maxsplit"])?;
            let (separator, most): (Option<&str>, Option<i64>) = from_args(&arguments)?;
            rsplit(text, separator, most)?
        }
        "replace" => {
            let arguments = positional(arguments, &["old", "new", "count"])?;
            return unknown_method_callback(state, &text.into(), method, &arguments).map(Some);
        }
        "splitlines" => {
            let arguments = positional(arguments, &["keepends"])?;
            return unknown_method_callback(state, &text.into(), method, &arguments).map(Some);
        }
        "removeprefix" => {
            let (prefix,): (&str,) = from_args(arguments)?;
            text.strip_prefix(prefix).unwrap_or(text).into()
        }
        "removesuffix" => {
            let (suffix,): (&str,) = from_args(arguments)?;
            text.strip_suffix(suffix).unwrap_or(text).into()
        }
        "partition" => {
            let (separator,): (&str,) = from_args(arguments)?;
            let (before, after) = text.split_once(separator).map_or((text, None), some_after);
            three([before, after.map_or("", |_| separator), after.unwrap_or_default()])
        }
        "rpartition" => {
            let (separator,): (&str,) = from_args(arguments)?;
            match text.rsplit_once(separator) {
                Some((before, after)) => three([before, separator, after]),
                None => three(["", "", text]),
            }
        }
        "index" | "rindex" => {
            let (part,): (&str,) = from_args(arguments)?;
            let at = if method == "index" { text.find(part) } else { text.rfind(part) };
            let at = at.ok_or_else(|| invalid("substring not found"))?;
            text[..at].chars().count().into()
        }
        "ljust" | "rjust" | "center" | "zfill" => padded(state, text, method, arguments)?,
        "casefold" => text.to_lowercase().into(),
        "swapcase" => text.chars().map(swapped).collect::<String>().into(),
        "isdecimal" => (!text.is_empty() && text.chars().all(|c| c.is_ascii_digit())).into(),
        "startswith" | "endswith" if arguments.len() > 1 => {
            let (_, start, end): (&Value, i64, Option<i64>) = from_args(arguments)?;
            let part = sliced(text, start, end);
            return unknown_method_callback(state, &part.into(), method, &arguments[..1]).map(Some);
        }
        _ => return Ok(None),
    };
    Ok(Some(result))
}

fn some_after<'a>((before, after): (&'a str, &'a str)) -> (&'a str, Option<&'a str>) {
    (before, Some(after))
}

fn three(texts: [&str; 3]) -> Value {
    Tuple::from(texts.map(Value::from).to_vec()).into()
}

fn swapped(c: char) -> String {
    if c.is_uppercase() { c.to_lowercase().collect() } else { c.to_uppercase().collect() }
}

/// The characters from `start` up to `end`, each counted from the end where negative.
fn sliced(text: &str, start: i64, end: Option<i64>) -> String {
    let count = i64::try_from(text.chars().count()).unwrap_or(i64::MAX);
    let at = |index: i64| {
        let index = if index < 0 { index.saturating_add(count) } else { index };
        usize::try_from(index.clamp(0, count)).unwrap_or(0)
    };
    let (start, end) = (at(start), at(end.unwrap_or(count)));
    text.chars().skip(start).take(end.saturating_sub(start)).collect()
}

fn limit(most: Option<i64>) -> usize {
    most.and_then(|most| usize::try_from(most).ok()).unwrap_or(usize::MAX - 1)
}

fn separator(separator: &str) -> Result<&str, Error> {
    if separator.is_empty() { Err(invalid("empty separator")) } else { Ok(separator) }
}

fn split(text: &str, by: Option<&str>, most: Option<i64>) -> Result<Value, Error> {
    if let Some(by) = by {
        return Ok(text.splitn(limit(most) + 1, separator(by)?).map(Value::from).collect());
    }
    let mut parts: Vec<Value> = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let end = match parts.len() < limit(most) {
            true => rest.find(char::is_whitespace).unwrap_or(rest.len()),
            false => rest.len(),
        };
        parts.push(rest[..end].into());
        rest = rest[end..].trim_start();
    }
    Ok(parts.into())
}

fn rsplit(text: &str, by: Option<&str>, most: Option<i64>) -> Result<Value, Error> {
    let mut parts: Vec<Value> = match by {
        Some(by) => text.rsplitn(limit(most) + 1, separator(by)?).map(Value::from).collect(),
        None => {
            let mut parts = Vec::new();
            let mut rest = text.trim_end();
            while !rest.is_empty() {
                let start = match parts.len() < limit(most) {
                    true => rest
                        .char_indices()
                        .rfind(|(_, c)| c.is_whitespace())
                        .map_or(0, |(at, c)| at + c.len_utf8()),
                    false => 0,
                };
                parts.push(Value::from(&rest[start..]));
                rest = rest[..start].trim_end();
            }
            parts
        }
    };
    parts.reverse();
    Ok(parts.into())
}

fn padded(state: &State, text: &str, method: &str, arguments: &[Value]) -> Result<Value, Error> {
    let (width, fill): (usize, Option<&str>) = from_args(arguments)?;
    let missing = width.saturating_sub(text.chars().count());
    // Before it is there: the text may be far longer than anything that was given.
    state.consume_fuel(missing as u64 / 16)?;
    let fill = fill.unwrap_or(if method == "zfill" { "0" } else { " " });
    if fill.chars().count() != 1 {
        return Err(invalid("the fill character is not one character"));
    }
    let repeat = |count: usize| fill.repeat(count);
    Ok(match method {
        "ljust" => format!("{text}{}", repeat(missing)),
        "rjust" => format!("{}{text}", repeat(missing)),
        "zfill" => match text.strip_prefix(['-', '+']) {
            Some(digits) => format!("{}{}{digits}", &text[..1], repeat(missing)),
            None => format!("{}{text}", repeat(missing)),
        },
        _ => {
            // As Python does: of an odd number, one more on the left where the width is odd.
            let left = missing / 2 + (missing & width & 1);
            format!("{}{text}{}", repeat(left), repeat(missing - left))
        }
    }
    .into())
}

/// The result of a method of a list or dictionary; `None` for one that is not known here.
fn container_method(
    value: &Value,
    method: &str,
    arguments: &[Value],
) -> Result<Option<Value>, Error> {
    match (value.kind(), method) {
        (ValueKind::Seq, "index") => {
            let (item,): (&Value,) = from_args(arguments)?;
            let at = value.try_iter()?.position(|other| other == *item);
            at.map(|at| Some(at.into())).ok_or_else(|| invalid(format!("{item} is not in list")))
        }
        (ValueKind::Seq | ValueKind::Map, "copy") => Ok(Some(value.clone())),
        // What a client sent, and what filters return, is not the template's to change.
        (ValueKind::Seq | ValueKind::Map | ValueKind::Iterable, changing)
            if super::syntax::CHANGING.contains(&changing) && !has_key(value, changing) =>
        {
            Err(Error::new(
                ErrorKind::InvalidOperation,
                format!("{changing} changes a value that the template did not make itself"),
            ))
        }
        _ => Ok(None),
    }
}

fn has_key(value: &Value, key: &str) -> bool {
    value.kind() == ValueKind::Map && value.get_attr(key).is_ok_and(|found| !found.is_undefined())
}
