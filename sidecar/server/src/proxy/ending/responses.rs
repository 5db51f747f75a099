//! Events and bodies of OpenAI's `responses`.

use super::choices::ChunkHead;
use crate::proxy::answer::Naming;
use serde_json::{Value, json};

/// How far a streamed response has left.
#[derive(Debug, Default)]
pub(super) struct OpenResponse {
    /// The number of the next event.
    next: u64,
    has_begun: bool,
    /// What of the answer's text has left.
    text: String,
    /// The item that text was last added to.
    item: Option<Value>,
    has_ended: bool,
}

impl OpenResponse {
    /// An event left.
    pub(super) fn left(&mut self, event: &Value) {
        self.has_begun = true;
        if let Some(number) = event["sequence_number"].as_u64() {
            self.next = number + 1;
        }
        match event["type"].as_str().unwrap_or_default() {
            "response.output_text.delta" => {
                self.text.push_str(event["delta"].as_str().unwrap_or_default());
                let places = ["item_id", "output_index", "content_index"];
                self.item =
                    Some(places.iter().map(|place| (*place, event[*place].clone())).collect());
            }
            "response.completed" | "response.incomplete" | "response.failed" => {
                self.has_ended = true;
            }
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
            let response = response(head, "in_progress", "", 0);
            events.push(json!({ "type": "response.created", "response": response }));
        }
        if let Some(text) = text {
            let item = json!({ "item_id": head.get("id"), "output_index": 0, "content_index": 0 });
            let mut event = self.item.clone().unwrap_or(item);
            event["type"] = json!("response.output_text.delta");
            event["delta"] = json!(text);
            event["logprobs"] = json!([]);
            events.push(event);
        }
        let said = format!("{}{}", self.text, text.unwrap_or_default());
        let response = response(head, "incomplete", &said, 0);
        events.push(json!({ "type": "response.incomplete", "response": response }));
        for event in &mut events {
            event["sequence_number"] = self.next.into();
            self.next += 1;
        }
        events
    }
}

fn response(head: &ChunkHead, status: &str, text: &str, input_tokens: usize) -> Value {
    let created = match head.get("created_at") {
        Value::Null => head.get("created"),
        created => created,
    };
    let details = match status {
        "incomplete" => json!({ "reason": "content_filter" }),
        _ => Value::Null,
    };
    json!({
        "id": head.get("id"), "object": "response", "created_at": created, "status": status,
        "error": null, "incomplete_details": details, "model": head.get("model"),
        "output": output(text), "parallel_tool_calls": true, "tool_choice": "auto", "tools": [],
        "usage": { "input_tokens": input_tokens, "output_tokens": 0, "total_tokens": input_tokens },
    })
}

/// A message that says this, none where it would be empty.
fn output(text: &str) -> Value {
    if text.is_empty() {
        return json!([]);
    }
    json!([{
        "type": "message", "id": format!("msg_{}", uuid::Uuid::new_v4().simple()),
        "role": "assistant", "status": "incomplete",
        "content": [{ "type": "output_text", "text": text, "annotations": [] }],
    }])
}

/// Puts `text` in place of what a response says after its first `keep` bytes.
pub(super) fn cut(body: &mut Value, keep: usize, text: &str) {
    let said = match body["output"].as_array().map(Vec::as_slice) {
        Some([item]) => match item["content"].as_array().map(Vec::as_slice) {
            Some([part]) if part["type"] == "output_text" => part["text"].as_str(),
            _ => None,
        },
        _ => None,
    };
    let kept = said.and_then(|said| said.get(..keep)).unwrap_or_default();
    body["output"] = output(&format!("{kept}{text}"));
    body["status"] = json!("incomplete");
    body["incomplete_details"] = json!({ "reason": "content_filter" });
}

/// A whole response that says this.
pub(super) fn body(naming: &Naming, text: &str, prompt_tokens: usize) -> Value {
    response(&ChunkHead::new(naming), "incomplete", text, prompt_tokens)
}
