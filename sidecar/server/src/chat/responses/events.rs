//! The events of a streamed response.

use super::body::{ResponseBody, call};
use super::text_item::TextItem;
use crate::chat::guarded::End;
use crate::chat::named_events::NamedEvents;
use crate::chat::response_head::ResponseHead;
use crate::http::ApiError;
use crate::openai::ToolCall;
use serde_json::{Value, json};
use std::collections::VecDeque;

/// Events that are ready, and what they have told so far.
pub(super) struct Events {
    head: ResponseHead,
    ready: VecDeque<Value>,
    /// The number of the next event.
    number: u64,
    /// Items that have ended.
    output: Vec<Value>,
    /// The item of text that has begun, if one has.
    text: Option<(TextItem, String)>,
}

impl Events {
    /// A response begins.
    pub(super) fn new(head: ResponseHead) -> Self {
        let mut events =
            Self { head, ready: VecDeque::new(), number: 0, output: Vec::new(), text: None };
        for kind in ["response.created", "response.in_progress"] {
            let response = json!(ResponseBody::new(&events.head, Vec::new(), None));
            events.push(json!({ "type": kind, "response": response }));
        }
        events
    }

    fn push(&mut self, mut event: Value) {
        event["sequence_number"] = self.number.into();
        self.number += 1;
        self.ready.push_back(event);
    }

    /// An event about an item of text, or the text in it.
    fn push_text(&mut self, item: TextItem, kind: &str, field: &str, value: Value) {
        let mut event = json!({ "type": kind, "item_id": item.id(&self.head.id),
            "output_index": self.output.len(), "content_index": 0 });
        event[field] = value;
        self.push(event);
    }

    fn end_text(&mut self) {
        let Some((item, text)) = self.text.take() else { return };
        self.push_text(item, &format!("response.{}.done", item.kind()), "text", json!(text));
        self.push_text(item, "response.content_part.done", "part", item.part(&text));
        let item = item.item(&self.head.id, &text);
        self.done(item);
    }

    fn done(&mut self, item: Value) {
        let (kind, at) = ("response.output_item.done", self.output.len());
        self.push(json!({ "type": kind, "output_index": at, "item": item }));
        self.output.push(item);
    }
}

impl NamedEvents for Events {
    type Text = TextItem;
    const THOUGHT: TextItem = TextItem::Reasoning;
    const SAID: TextItem = TextItem::Message;

    fn ready(&mut self) -> &mut VecDeque<Value> {
        &mut self.ready
    }

    fn text(&mut self, item: TextItem, text: &str) {
        if text.is_empty() {
            return;
        }
        if self.text.as_ref().is_some_and(|(begun, _)| *begun != item) {
            self.end_text();
        }
        if self.text.is_none() {
            let mut begun = item.item(&self.head.id, "");
            begun["status"] = json!("in_progress");
            begun["content"] = json!([]);
            let at = self.output.len();
            let kind = "response.output_item.added";
            self.push(json!({ "type": kind, "output_index": at, "item": begun }));
            self.push_text(item, "response.content_part.added", "part", item.part(""));
        }
        self.text.get_or_insert((item, String::new())).1.push_str(text);
        self.push_text(item, &format!("response.{}.delta", item.kind()), "delta", json!(text));
    }

    fn call(&mut self, called: &ToolCall) {
        self.end_text();
        let item = call(called);
        let (at, arguments) = (self.output.len(), item["arguments"].clone());
        let mut begun = item.clone();
        (begun["arguments"], begun["status"]) = (json!(""), json!("in_progress"));
        let kind = "response.output_item.added";
        self.push(json!({ "type": kind, "output_index": at, "item": begun }));
        for (kind, field) in [("delta", "delta"), ("done", "arguments")] {
            let kind = format!("response.function_call_arguments.{kind}");
            self.push(json!({ "type": kind, "item_id": item["id"], "output_index": at,
                field: arguments }));
        }
        self.done(item);
    }

    fn end(&mut self, end: &End) {
        self.end_text();
        let body = ResponseBody::new(&self.head, self.output.clone(), Some(end));
        let event = json!({ "type": body.last_event(), "response": body });
        self.push(event);
    }

    fn fail(&mut self, error: &ApiError) {
        let said = json!(error.body);
        self.push(json!({ "type": "error", "code": said["error"]["code"],
            "message": said["error"]["message"], "param": Value::Null }));
    }
}
