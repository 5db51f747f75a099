//! Events and bodies of Anthropic's `messages`.

use super::choices::ChunkHead;
use crate::proxy::answer::Naming;
use serde_json::{Value, json};

/// How a stopped message ends.
const STOP_REASON: &str = "refusal";

/// How far a streamed message has left.
#[derive(Debug, Default)]
pub(super) struct OpenMessage {
    has_begun: bool,
    /// The block that has begun and not ended, and whether it holds text.
    block: Option<(u64, bool)>,
    /// The number of the next block.
    next: u64,
    has_ended: bool,
}

impl OpenMessage {
    /// An event left.
    pub(super) fn left(&mut self, event: &Value) {
        let index = event["index"].as_u64().unwrap_or_default();
        match event["type"].as_str().unwrap_or_default() {
            "message_start" => self.has_begun = true,
            "content_block_start" => {
                self.block = Some((index, event["content_block"]["type"] == "text"));
                self.next = index + 1;
            }
            "content_block_stop" => self.block = None,
            "message_stop" => self.has_ended = true,
            _ => {}
        }
    }

    /// The events that are missing, with a text in place of what does not leave.
    pub(super) fn end(&mut self, head: &ChunkHead, text: Option<&str>) -> Vec<Value> {
        if std::mem::replace(&mut self.has_ended, true) {
            return Vec::new();
        }
        let mut events = Vec::new();
        if !self.has_begun {
            let message = message(head, &json!([]), &Value::Null, 0);
            events.push(json!({ "type": "message_start", "message": message }));
        }
        let stop = |index: u64| json!({ "type": "content_block_stop", "index": index });
        if let (Some((index, false)), Some(_)) = (self.block, text) {
            events.push(stop(index));
            self.block = None;
        }
        if let Some(text) = text {
            let index = self.block.map_or(self.next, |(index, _)| index);
            if self.block.is_none() {
                let block = json!({ "type": "text", "text": "" });
                let kind = "content_block_start";
                events.push(json!({ "type": kind, "index": index, "content_block": block }));
                self.block = Some((index, true));
            }
            let delta = json!({ "type": "text_delta", "text": text });
            events.push(json!({ "type": "content_block_delta", "index": index, "delta": delta }));
        }
        events.extend(self.block.take().map(|(index, _)| stop(index)));
        let delta = json!({ "stop_reason": STOP_REASON, "stop_sequence": null });
        let usage = json!({ "output_tokens": 0 });
        events.push(json!({ "type": "message_delta", "delta": delta, "usage": usage }));
        events.push(json!({ "type": "message_stop" }));
        events
    }
}

fn message(head: &ChunkHead, content: &Value, stop_reason: &Value, input_tokens: usize) -> Value {
    json!({
        "id": head.get("id"), "type": "message", "role": "assistant", "model": head.get("model"),
        "content": content, "stop_reason": stop_reason, "stop_sequence": null,
        "usage": { "input_tokens": input_tokens, "output_tokens": 0 },
    })
}

/// A block of text, none where it would be empty.
fn blocks(text: &str) -> Value {
    if text.is_empty() { json!([]) } else { json!([{ "type": "text", "text": text }]) }
}

/// Puts `text` in place of what a message says after its first `keep` bytes.
pub(super) fn cut(body: &mut Value, keep: usize, text: &str) {
    let said = match body["content"].as_array().map(Vec::as_slice) {
        Some([block]) if block["type"] == "text" => block["text"].as_str().unwrap_or_default(),
        _ => "",
    };
    let kept = said.get(..keep).unwrap_or_default();
    body["content"] = blocks(&format!("{kept}{text}"));
    body["stop_reason"] = json!(STOP_REASON);
}

/// A whole message that says this.
pub(super) fn body(naming: &Naming, text: &str, prompt_tokens: usize) -> Value {
    message(&ChunkHead::new(naming), &blocks(text), &json!(STOP_REASON), prompt_tokens)
}
