//! Lists and dictionaries that a template makes, and changes by their methods.
//!
//! What is put into one is copied: no value ever holds itself, and each can be written in full.

use super::{frozen, invalid};
use minijinja::value::{Enumerator, Kwargs, Object, ObjectRepr, Value, from_args};
use minijinja::{Error, ErrorKind, State};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A list.
#[derive(Debug)]
pub(super) struct MutableList(Mutex<Vec<Value>>);

/// A dictionary, in the order in which keys came.
#[derive(Debug)]
pub(super) struct MutableDict(Mutex<Vec<(Value, Value)>>);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl MutableList {
    /// A list of the values in `literal`.
    pub(super) fn value(state: &State, literal: &Value) -> Result<Value, Error> {
        let items = literal.try_iter()?.map(|item| frozen(state, &item, 0));
        Ok(Value::from_object(Self(Mutex::new(items.collect::<Result<_, _>>()?))))
    }
}

/// The place of an index, which counts from the end where it is negative.
fn place(index: i64, length: usize) -> Option<usize> {
    let length = i64::try_from(length).ok()?;
    let index = if index < 0 { index + length } else { index };
    usize::try_from(index).ok().filter(|_| index < length)
}

impl Object for MutableList {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Seq
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let items = lock(&self.0);
        items.get(place(i64::try_from(key.clone()).ok()?, items.len())?).cloned()
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Seq(lock(&self.0).len())
    }

    fn call_method(
        self: &Arc<Self>,
        state: &mut State<'_, '_>,
        method: &str,
        arguments: &[Value],
    ) -> Result<Value, Error> {
        let none = Value::from(());
        match method {
            "append" => {
                let (item,): (&Value,) = from_args(arguments)?;
                let item = frozen(state, item, 0)?;
                lock(&self.0).push(item);
            }
            "extend" => {
                let (more,): (&Value,) = from_args(arguments)?;
                let more = more.try_iter()?.map(|item| {
                    state.consume_fuel(1)?;
                    frozen(state, &item, 0)
                });
                let more: Vec<Value> = more.collect::<Result<_, Error>>()?;
                lock(&self.0).extend(more);
            }
            "insert" => {
                let (index, item): (i64, &Value) = from_args(arguments)?;
                let item = frozen(state, item, 0)?;
                let mut items = lock(&self.0);
                state.consume_fuel(items.len() as u64 / 8)?;
                let end = if index < 0 { 0 } else { items.len() };
                let at = place(index, items.len()).unwrap_or(end);
                items.insert(at, item);
            }
            "pop" => {
                let (index,): (Option<i64>,) = from_args(arguments)?;
                let mut items = lock(&self.0);
                let at = place(index.unwrap_or(-1), items.len());
                return at
                    .map(|at| items.remove(at))
                    .ok_or_else(|| invalid("pop from an empty list, or beyond its end"));
            }
            "remove" => {
                let (item,): (&Value,) = from_args(arguments)?;
                let mut items = lock(&self.0);
                let at = items.iter().position(|other| other == item);
                items.remove(at.ok_or_else(|| invalid("remove: the value is not in the list"))?);
            }
            "clear" => lock(&self.0).clear(),
            "reverse" => lock(&self.0).reverse(),
            "sort" => {
                let sorted = {
                    let items: Value = lock(&self.0).clone().into();
                    state.apply_filter("sort", &[&[items][..], arguments].concat())?
                };
                *lock(&self.0) = sorted.try_iter()?.collect();
            }
            "copy" => return Ok(Value::from_object(Self(Mutex::new(lock(&self.0).clone())))),
            _ => return Err(ErrorKind::UnknownMethod.into()),
        }
        Ok(none)
    }
}

impl MutableDict {
    /// A dictionary of the entries in `literal`.
    pub(super) fn value(state: &State, literal: &Value) -> Result<Value, Error> {
        let dict = Self(Mutex::default());
        dict.update(state, literal)?;
        Ok(Value::from_object(dict))
    }

    fn set(&self, key: Value, value: Value) {
        let mut entries = lock(&self.0);
        match entries.iter_mut().find(|(known, _)| *known == key) {
            Some((_, old)) => *old = value,
            None => entries.push((key, value)),
        }
    }

    fn get(&self, key: &Value) -> Option<Value> {
        lock(&self.0).iter().find(|(known, _)| known == key).map(|(_, value)| value.clone())
    }

    fn update(&self, state: &State, other: &Value) -> Result<(), Error> {
        for key in other.try_iter()? {
            // Looking for a key passes by all others.
            state.consume_fuel(1 + lock(&self.0).len() as u64 / 8)?;
            let value = frozen(state, &other.get_item(&key)?, 0)?;
            self.set(key, value);
        }
        Ok(())
    }
}

impl Object for MutableDict {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get(key)
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(lock(&self.0).iter().map(|(key, _)| key.clone()).collect())
    }

    fn call_method(
        self: &Arc<Self>,
        state: &mut State<'_, '_>,
        method: &str,
        arguments: &[Value],
    ) -> Result<Value, Error> {
        match method {
            "update" => {
                let (others, named): (&[Value], Kwargs) = from_args(arguments)?;
                others.iter().try_for_each(|other| self.update(state, other))?;
                for name in named.args() {
                    let value: Value = named.peek(name)?;
                    let value = frozen(state, &value, 0)?;
                    self.set(name.into(), value);
                }
                Ok(Value::from(()))
            }
            "setdefault" => {
                let (key, default): (&Value, Option<Value>) = from_args(arguments)?;
                if let Some(value) = self.get(key) {
                    return Ok(value);
                }
                let value = frozen(state, &default.unwrap_or_else(|| Value::from(())), 0)?;
                self.set(key.clone(), value.clone());
                Ok(value)
            }
            "pop" => {
                let (key, default): (&Value, Option<Value>) = from_args(arguments)?;
                let mut entries = lock(&self.0);
                match entries.iter().position(|(known, _)| known == key) {
                    Some(at) => Ok(entries.remove(at).1),
                    None => default.ok_or_else(|| invalid(format!("pop: there is no key {key}"))),
                }
            }
            "clear" => {
                lock(&self.0).clear();
                Ok(Value::from(()))
            }
            "copy" => Ok(Value::from_object(Self(Mutex::new(lock(&self.0).clone())))),
            _ => Err(ErrorKind::UnknownMethod.into()),
        }
    }
}
