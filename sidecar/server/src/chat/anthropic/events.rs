//! The events of a streamed message.

use super::body::{TextBlock, message, stop_reason, tool_use, usage};
use super::error;
use crate::chat::guarded::End;
use crate::chat::named_events::NamedEvents;
use crate::chat::response_head::ResponseHead;
use crate::http::ApiError;
use crate::openai::{ToolCall, Usage};
use serde_json::{Value, json};
use std::collections::VecDeque;

/// Events that are ready, and how far the message is.
pub(super) struct Events {
    ready: VecDeque<Value>,
    /// The number of the next block, or of the one that has begun.
    number: u64,
    /// The block of text that has begun, if one has.
    text: Option<TextBlock>,
}

impl Events {
    /// A message begins.
    pub(super) fn new(head: &ResponseHead, prompt_tokens: usize) -> Self {
        let message = message(head, &[], None, Usage::new(prompt_tokens, 0));
        let begun = json!({ "type": "message_start", "message": message });
        Self { ready: VecDeque::from([begun]), number: 0, text: None }
    }

    fn begin(&mut self, block: &Value) {
        let kind = "content_block_start";
        let event = json!({ "type": kind, "index": self.number, "content_block": block });
        self.ready.push_back(event);
    }

    fn delta(&mut self, delta: &Value) {
        let kind = "content_block_delta";
        let event = json!({ "type": kind, "index": self.number, "delta": delta });
        self.ready.push_back(event);
    }

    fn end_block(&mut self) {
        self.ready.push_back(json!({ "type": "content_block_stop", "index": self.number }));
        self.number += 1;
    }

    fn end_text(&mut self) {
        if self.text.take().is_some() {
            self.end_block();
        }
    }
}

impl NamedEvents for Events {
    type Text = TextBlock;
    const THOUGHT: TextBlock = TextBlock::Thinking;
    const SAID: TextBlock = TextBlock::Text;

    fn ready(&mut self) -> &mut VecDeque<Value> {
        &mut self.ready
    }

    fn text(&mut self, block: TextBlock, text: &str) {
        if text.is_empty() {
            return;
        }
        if self.text != Some(block) {
            self.end_text();
            self.begin(&block.block(""));
            self.text = Some(block);
        }
        self.delta(&block.delta(text));
    }

    fn call(&mut self, called: &ToolCall) {
        self.end_text();
        let mut block = tool_use(called);
        let input = std::mem::replace(&mut block["input"], json!({}));
        self.begin(&block);
        self.delta(&json!({ "type": "input_json_delta", "partial_json": input.to_string() }));
        self.end_block();
    }

    fn end(&mut self, end: &End) {
        self.end_text();
        let delta = json!({ "stop_reason": stop_reason(end), "stop_sequence": end.stop });
        let mut event =
            json!({ "type": "message_delta", "delta": delta, "usage": usage(end.usage) });
        if let Some(scores) = &end.scores {
            event["personaguard"] = json!(scores);
        }
        self.ready.push_back(event);
        self.ready.push_back(json!({ "type": "message_stop" }));
    }

    fn fail(&mut self, error: &ApiError) {
        self.ready.push_back(error::body(error));
    }
}
