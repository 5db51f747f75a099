//! Jinja as chat templates know it: Python's methods, and what transformers adds.

mod json;
mod methods;
mod mutable;
mod syntax;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, Tuple, Value};
use minijinja::{Environment, Error, ErrorKind, State};
use mutable::{MutableDict, MutableList};

/// Marks an exception that the template raised itself.
pub(super) const REFUSED: &str = "refused: ";
/// Deepest value that a template may build.
const MAX_DEPTH: usize = 64;

/// An environment that holds this template under its name.
pub(super) fn environment(
    name: &'static str,
    source: &str,
    fuel: u64,
) -> Result<Environment<'static>, Error> {
    let mut environment = Environment::new();
    environment.set_fuel(Some(fuel));
    environment.set_recursion_limit(64);
    let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?;
    environment.set_syntax(syntax);
    environment.set_unknown_method_callback(methods::call);
    environment.add_filter("tojson", json::filter);
    environment.add_function("raise_exception", |message: String| -> Result<Value, Error> {
        Err(Error::new(ErrorKind::InvalidOperation, format!("{REFUSED}{message}")))
    });
    environment.add_function(syntax::NOW, now);
    environment.add_function(syntax::LIST, MutableList::value);
    environment.add_function(syntax::DICT, MutableDict::value);
    environment.add_function(syntax::PERCENT, percent);
    environment.add_template_owned(name, syntax::adapt(source))?;
    Ok(environment)
}

/// The local time, as Python's `strftime` writes it.
fn now(format: &str) -> Result<String, Error> {
    jiff::fmt::strtime::format(format, &jiff::Zoned::now()).map_err(|error| {
        Error::new(ErrorKind::InvalidOperation, format!("strftime_now({format:?}): {error}"))
    })
}

/// `%` of Python where the left side is text: values in place of `%s` and its kind.
fn percent(state: &mut State, text: Value, values: Value) -> Result<Value, Error> {
    if text.as_str().is_none() {
        return Err(invalid("% has text on its left side in one place, and none in another"));
    }
    let mut arguments = vec![text];
    if values.is_tuple() {
        arguments.extend(values.try_iter()?);
    } else if values.kind() == minijinja::value::ValueKind::Map {
        let named: Vec<(String, Value)> = values
            .try_iter()?
            .map(|key| Ok((key.to_string(), values.get_item(&key)?)))
            .collect::<Result<_, Error>>()?;
        arguments.push(named.into_iter().collect::<Kwargs>().into());
    } else {
        arguments.push(values);
    }
    state.apply_filter("format", &arguments)
}

/// The positional arguments, with those that were given by name in their places.
fn positional(arguments: &[Value], names: &[&str]) -> Result<Vec<Value>, Error> {
    let (values, named): (&[Value], Kwargs) = minijinja::value::from_args(arguments)?;
    let mut values = values.to_vec();
    for (index, name) in names.iter().enumerate() {
        if named.has(name) {
            values.resize(values.len().max(index + 1), Value::from(()));
            values[index] = named.get(name)?;
        }
    }
    named.assert_all_used()?;
    Ok(values)
}

/// A copy that nothing changes any more, and in which no value holds itself.
fn frozen(state: &State, value: &Value, depth: usize) -> Result<Value, Error> {
    use minijinja::value::ValueKind::{Iterable, Map, Seq};
    if depth > MAX_DEPTH {
        return Err(invalid("its values are nested too deeply"));
    }
    match value.kind() {
        Seq | Iterable => {
            let items = value.try_iter()?.map(|item| {
                state.consume_fuel(1)?;
                frozen(state, &item, depth + 1)
            });
            let items: Vec<Value> = items.collect::<Result<_, _>>()?;
            Ok(if value.is_tuple() { Tuple::from(items).into() } else { items.into() })
        }
        Map => {
            let entries = value.try_iter()?.map(|key| {
                state.consume_fuel(1)?;
                let item = frozen(state, &value.get_item(&key)?, depth + 1)?;
                Ok((key, item))
            });
            Ok(entries.collect::<Result<Vec<(Value, Value)>, Error>>()?.into_iter().collect())
        }
        _ => Ok(value.clone()),
    }
}

fn invalid(what: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidOperation, what.into())
}

#[cfg(test)]
mod tests;
