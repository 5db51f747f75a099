//! Events and bodies of Anthropic's `messages`. They have one choice.

use super::naming::{Naming, call_reference};
use super::usage::USAGE;
use super::{ChoiceDelta, Unreadable, error, finish};
use crate::proxy::shape::Shape;
use serde_json::{Map, Value, json};

/// Reads one event of a stream.
pub(super) fn event(
    naming: &Naming,
    fields: &mut Map<String, Value>,
) -> Result<Vec<ChoiceDelta>, Unreadable> {
    let kind = fields.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut field = |name: &str| fields.remove(name).unwrap_or_default();
    let index = Shape::Number.of(field("index"));
    let mut delta = ChoiceDelta::default();
    let kept = match kind.as_str() {
        "ping" | "message_stop" => json!({ "type": kind }),
        "content_block_stop" => json!({ "type": kind, "index": index }),
        "error" => json!({ "type": kind, "error": error::withheld(&field("error"), None) }),
        "message_start" => {
            let mut message = field("message");
            let Value::Object(fields) = &mut message else {
                return Err(Unreadable("a message is not an object"));
            };
            delta = self::message(naming, fields)?;
            delta.finish = None;
            json!({ "type": kind, "message": message })
        }
        "content_block_start" => {
            let block = block(&field("content_block"), &mut delta)?;
            json!({ "type": kind, "index": index, "content_block": block })
        }
        "content_block_delta" => match added(&field("delta"), &mut delta)? {
            Some(added) => json!({ "type": kind, "index": index, "delta": added }),
            None => Value::Null,
        },
        "message_delta" => {
            let end = field("delta");
            let (reason, finish) = finish::read(&end["stop_reason"], "end_turn");
            delta.finish = finish;
            let end = json!({ "stop_reason": reason, "stop_sequence": null });
            json!({ "type": kind, "delta": end, "usage": USAGE.of(field("usage")) })
        }
        _ => return Err(Unreadable("an event is not one of `messages`")),
    };
    *fields = match kept {
        Value::Object(kept) => kept,
        _ => Map::new(),
    };
    Ok(if delta == ChoiceDelta::default() { Vec::new() } else { vec![delta] })
}

/// Reads a whole body.
pub(super) fn whole(
    naming: &Naming,
    fields: &mut Map<String, Value>,
) -> Result<Vec<ChoiceDelta>, Unreadable> {
    if let Some(error) = fields.get("error").filter(|error| !error.is_null()) {
        let error = error::withheld(error, None);
        *fields =
            Map::from_iter([("type".to_owned(), json!("error")), ("error".to_owned(), error)]);
        return Ok(Vec::new());
    }
    if !fields.get("content").is_some_and(Value::is_array) {
        return Err(Unreadable("a message has no content"));
    }
    Ok(vec![message(naming, fields)?])
}

/// A message, with what it says.
fn message(naming: &Naming, fields: &mut Map<String, Value>) -> Result<ChoiceDelta, Unreadable> {
    let mut delta = ChoiceDelta::default();
    let mut kept = Map::new();
    for (name, value) in std::mem::take(fields) {
        let value = match name.as_str() {
            "id" => naming.id(value),
            "model" => naming.model(value),
            "type" => json!("message"),
            "role" => json!("assistant"),
            "content" => {
                let Value::Array(blocks) = value else {
                    return Err(Unreadable("the content of a message is not a list"));
                };
                let blocks = blocks.iter().map(|value| block(value, &mut delta));
                Value::Array(blocks.collect::<Result<_, _>>()?)
            }
            "stop_reason" => {
                let (reason, finish) = finish::read(&value, "end_turn");
                delta.finish = finish;
                reason
            }
            "stop_sequence" => Value::Null,
            "usage" => USAGE.of(value),
            _ => continue,
        };
        kept.insert(name, value);
    }
    *fields = kept;
    Ok(delta)
}

/// A block of content as it may leave.
fn block(block: &Value, delta: &mut ChoiceDelta) -> Result<Value, Unreadable> {
    let kind = block["type"].as_str().unwrap_or_default();
    let mut say = |field: &str| match &block[field] {
        Value::Null => Ok(String::new()),
        Value::String(said) => {
            delta.say(said, kind == "thinking");
            Ok(said.clone())
        }
        _ => Err(Unreadable("a block of an answer is not text")),
    };
    match kind {
        "text" => Ok(json!({ "type": kind, "text": say("text")? })),
        "thinking" => Ok(json!({ "type": kind, "thinking": say("thinking")?, "signature": "" })),
        "tool_use" => {
            let name = say("name")?;
            delta.is_whole = true;
            let input = block["input"].clone();
            if !(input.is_null() || input == json!({})) {
                delta.say(&input.to_string(), false);
            }
            let id = call_reference(&block["id"], Some(&name));
            Ok(json!({ "type": kind, "id": id, "name": name, "input": input }))
        }
        _ => Err(Unreadable("a block of an answer is not text")),
    }
}

/// What an event adds to a block; nothing where that is no text.
fn added(added: &Value, delta: &mut ChoiceDelta) -> Result<Option<Value>, Unreadable> {
    let kind = added["type"].as_str().unwrap_or_default();
    let field = match kind {
        "text_delta" => "text",
        "thinking_delta" => "thinking",
        "input_json_delta" => "partial_json",
        "signature_delta" | "citations_delta" => return Ok(None),
        _ => return Err(Unreadable("an event adds what is not text")),
    };
    let said = added[field].as_str().ok_or(Unreadable("an event adds what is not text"))?;
    delta.say(said, kind == "thinking_delta");
    delta.is_whole = kind == "input_json_delta";
    Ok(Some(json!({ "type": kind, field: said })))
}
