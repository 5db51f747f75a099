//! Where a row has its messages.

use super::super::transcript;
use serde_json::{Map, Value, json};

/// Names of the list of messages.
const MESSAGES: [&str; 6] =
    ["messages", "conversations", "conversation", "dialogue", "dialog", "chat"];
/// Names of a question, of what belongs to it, and of its answer.
const PAIRS: [(&str, &[&str], &[&str]); 7] = [
    ("instruction", &["input", "context"], &["output", "response", "completion", "answer"]),
    ("prompt", &[], &["completion", "response", "answer", "output"]),
    ("question", &[], &["answer", "response", "output", "completion"]),
    ("query", &[], &["response", "answer", "output", "completion"]),
    ("user", &[], &["assistant"]),
    ("inputs", &[], &["targets", "outputs"]),
    ("input", &[], &["output", "target", "response", "answer"]),
];
/// Questions that mean something without an answer.
const ALONE: [&str; 4] = ["instruction", "prompt", "question", "query"];

/// Takes the list of messages out of a row, if it has one.
///
/// # Errors
/// What is there in its place.
pub(super) fn messages_of(fields: &mut Map<String, Value>) -> Result<Option<Vec<Value>>, String> {
    let is_list = |value: &Value| !(value.is_null() || value.is_number() || value.is_boolean());
    let Some(name) = MESSAGES.into_iter().find(|name| fields.get(*name).is_some_and(is_list))
    else {
        return Ok(None);
    };
    let other = || {
        format!(
            "has {name} that are not a list of messages: give [{{\"role\": …, \"content\": …}}, …]"
        )
    };
    let messages = match fields.remove(name) {
        Some(Value::String(text)) => serde_json::from_str(&text).map_err(|_| other())?,
        found => found.unwrap_or_default(),
    };
    match messages {
        Value::Array(messages) if messages.is_empty() => {
            Err(format!("has no {name}: leave it out"))
        }
        Value::Array(messages) => Ok(Some(messages.into_iter().flat_map(turns).collect())),
        Value::Object(columns) => from_columns(columns).map(Some).ok_or_else(other),
        _ => Err(other()),
    }
}

/// The messages of an element of the list: one, or a question and its answer.
fn turns(element: Value) -> Vec<Value> {
    match (element.get("role").or(element.get("from")), element.get("input"), element.get("output"))
    {
        (None, Some(Value::String(question)), Some(Value::String(answer))) => {
            vec![user(question), assistant(answer)]
        }
        _ => vec![element],
    }
}

/// Messages from one list a field, as Python's `datasets` may keep them.
fn from_columns(columns: Map<String, Value>) -> Option<Vec<Value>> {
    let mut messages: Vec<Value> = Vec::new();
    for (name, column) in columns {
        let Value::Array(values) = column else { return None };
        if messages.is_empty() {
            messages = vec![json!({}); values.len()];
        }
        if messages.len() != values.len() {
            return None;
        }
        for (message, value) in messages.iter_mut().zip(values) {
            message[name.as_str()] = value;
        }
    }
    Some(messages)
}

/// Takes a question, and its answer where there is one, out of a row.
pub(super) fn question_and_answer(fields: &mut Map<String, Value>) -> Option<Vec<Value>> {
    let has =
        |name: &str| fields.get(name).is_some_and(|value| value.is_string() || value.is_array());
    let (question, extras, answers) = PAIRS.into_iter().find(|(question, _, answers)| {
        let is_alone = ALONE.contains(question);
        has(question) && (is_alone || answers.iter().any(|name| has(name)))
    })?;
    let mut messages = history(fields);
    let asked = fields.remove(question)?;
    match asked.as_str() {
        Some(text) => {
            let extra = extras.iter().filter_map(|name| fields.remove(*name));
            let extra: Vec<String> =
                extra.filter_map(|extra| extra.as_str().map(str::to_owned)).collect();
            let parts = std::iter::once(text).chain(extra.iter().map(String::as_str));
            let parts: Vec<&str> = parts.filter(|part| !part.trim().is_empty()).collect();
            match transcript::messages(text) {
                Some(turns) => messages.extend(turns),
                None => messages.push(user(&parts.join("\n\n"))),
            }
        }
        None => messages.extend(answer(&asked).ok()?),
    }
    let answered = answers.iter().find(|name| fields.get(**name).is_some_and(|a| !a.is_null()));
    if let Some(found) = answered.and_then(|name| fields.remove(*name)) {
        messages.extend(answer(&found).ok()?);
    }
    Some(messages)
}

/// Takes earlier turns out of a row: pairs of a question and its answer.
fn history(fields: &mut Map<String, Value>) -> Vec<Value> {
    let pair = |pair: &Value| match pair.as_array().map(Vec::as_slice) {
        Some([Value::String(question), Value::String(answer)]) => {
            Some([user(question), assistant(answer)])
        }
        _ => None,
    };
    let pairs = fields.get("history").and_then(Value::as_array);
    let turns: Option<Vec<_>> = pairs.and_then(|pairs| pairs.iter().map(pair).collect());
    match turns {
        Some(turns) => {
            fields.remove("history");
            turns.into_iter().flatten().collect()
        }
        None => Vec::new(),
    }
}

/// An answer as messages: a text, a message, or several.
///
/// # Errors
/// If it is something else.
pub(super) fn answer(answer: &Value) -> Result<Vec<Value>, String> {
    match answer {
        Value::String(text) => Ok(vec![assistant(text)]),
        Value::Array(messages) => Ok(messages.clone()),
        Value::Object(_) => Ok(vec![answer.clone()]),
        _ => Err("has an answer that is not text: write it as a text".to_owned()),
    }
}

fn user(text: &str) -> Value {
    json!({ "role": "user", "content": text })
}

fn assistant(text: &str) -> Value {
    json!({ "role": "assistant", "content": text })
}
