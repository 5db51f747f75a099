//! Chunks and bodies of `chat/completions` and `completions`.

use super::content::Said;
use super::naming::Naming;
use super::{ChoiceDelta, MAX_CHOICES, Part, TokenIds, Unreadable, finish, head, logprobs};
use crate::proxy::shape::Shape;
use serde_json::{Map, Value};

/// Reads a payload. One without choices (usage, an error) adds nothing.
pub(super) fn read(
    naming: &Naming,
    part: Part,
    fields: &mut Map<String, Value>,
) -> Result<Vec<ChoiceDelta>, Unreadable> {
    let mut deltas = Vec::new();
    let is_quiet = fields.contains_key("error") || (part == Part::Event && head::is_all(fields));
    match fields.get_mut("choices") {
        Some(Value::Array(choices)) => {
            for choice in choices {
                let (kept, delta) = self::choice(choice.take())?;
                *choice = kept;
                deltas.push(delta);
            }
        }
        None | Some(Value::Null) if is_quiet => {}
        _ => return Err(Unreadable("a chunk has no choices")),
    }
    head::keep(naming, part, fields);
    Ok(deltas)
}

/// One choice as it may leave, and what it says.
fn choice(choice: Value) -> Result<(Value, ChoiceDelta), Unreadable> {
    let Value::Object(fields) = choice else { return Err(Unreadable("a choice is not an object")) };
    let (mut kept, mut delta) = (Map::new(), ChoiceDelta::default());
    let (mut said, mut probabilities) = (Said::default(), Value::Null);
    for (name, value) in fields {
        let value = match name.as_str() {
            "index" => {
                delta.choice = index(&value)?;
                value
            }
            "delta" | "message" => said.message(value)?,
            "text" => said.text(value)?,
            "finish_reason" => {
                let (reason, finish) = finish::read(&value, "stop");
                delta.finish = finish;
                reason
            }
            "stop_reason" | "matched_stop" => Shape::Number.of(value),
            // LiteLLM writes it into each choice; what it may hold says something.
            "provider_specific_fields" => Shape::Object(&[]).of(value),
            "token_ids" => {
                delta.token_ids = TokenIds::read(&value);
                continue;
            }
            "logprobs" => {
                probabilities = value;
                Value::Null
            }
            _ => continue,
        };
        kept.insert(name, value);
    }
    if let Some(probabilities) = logprobs::keep(probabilities, said.content()) {
        kept.insert("logprobs".to_owned(), probabilities);
    }
    said.add_to(&mut delta);
    Ok((Value::Object(kept), delta))
}

/// The field `index` of a choice.
fn index(value: &Value) -> Result<usize, Unreadable> {
    let index = match value {
        Value::Null => Some(0),
        value => value.as_u64().and_then(|index| usize::try_from(index).ok()),
    };
    let odd = Unreadable("a choice has no sensible index");
    index.filter(|index| *index < MAX_CHOICES).ok_or(odd)
}
