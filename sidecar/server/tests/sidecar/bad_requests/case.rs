//! Bad requests, and how to make them.

use crate::rig::{chat, with};
use serde_json::{Value, json};

/// A bad request, and the error that it gets.
pub(super) struct Case {
    pub(super) name: &'static str,
    pub(super) body: Vec<u8>,
    pub(super) status: u16,
    pub(super) code: &'static str,
    pub(super) param: Value,
}

pub(super) fn case(
    name: &'static str,
    body: Vec<u8>,
    status: u16,
    code: &'static str,
    param: Value,
) -> Case {
    Case { name, body, status, code, param }
}

/// Fields of a sound request, replaced one at a time.
pub(super) fn replaced(field: &str, value: Value) -> Vec<u8> {
    with(chat("Hi"), json!({ field: value })).to_string().into_bytes()
}

pub(super) fn without(field: &str) -> Vec<u8> {
    let mut body = chat("Hi");
    body.as_object_mut().unwrap().remove(field);
    body.to_string().into_bytes()
}

pub(super) fn messages(value: Value) -> Vec<u8> {
    replaced("messages", value)
}
