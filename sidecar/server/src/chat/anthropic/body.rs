//! The bodies of `messages`.

use crate::chat::guarded::End;
use crate::chat::response_head::ResponseHead;
use crate::openai::{FinishReason, ToolCall, Usage};
use serde_json::{Value, json};

/// A block of text: what the model says, or what it thinks before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TextBlock {
    Text,
    Thinking,
}

impl TextBlock {
    /// The block, with this text.
    pub(super) fn block(self, text: &str) -> Value {
        match self {
            Self::Text => json!({ "type": "text", "text": text }),
            // Nothing is signed: it is for the client to read.
            Self::Thinking => json!({ "type": "thinking", "thinking": text, "signature": "" }),
        }
    }

    /// More of its text.
    pub(super) fn delta(self, text: &str) -> Value {
        match self {
            Self::Text => json!({ "type": "text_delta", "text": text }),
            Self::Thinking => json!({ "type": "thinking_delta", "thinking": text }),
        }
    }
}

/// A call of a function.
pub(super) fn tool_use(call: &ToolCall) -> Value {
    let input: Value = serde_json::from_str(&call.function.arguments).unwrap_or_else(|_| json!({}));
    let id = call.id.replacen("call_", "toolu_", 1);
    json!({ "type": "tool_use", "id": id, "name": call.function.name, "input": input })
}

/// A message that says this; without an end it is still being written.
pub(super) fn message(
    head: &ResponseHead,
    content: &[Value],
    end: Option<&End>,
    usage: Usage,
) -> Value {
    let mut message = json!({
        "id": head.id, "type": "message", "role": "assistant", "model": head.model,
        "content": content, "stop_reason": end.map(stop_reason),
        "stop_sequence": end.and_then(|end| end.stop.as_deref()),
        "usage": self::usage(usage),
    });
    if let Some(scores) = end.and_then(|end| end.scores.as_ref()) {
        message["personaguard"] = json!(scores);
    }
    message
}

pub(super) fn stop_reason(end: &End) -> &'static str {
    match end.finish_reason {
        FinishReason::Stop if end.stop.is_some() => "stop_sequence",
        FinishReason::Stop => "end_turn",
        FinishReason::Length => "max_tokens",
        FinishReason::ToolCalls => "tool_use",
        FinishReason::ContentFilter => "refusal",
    }
}

/// Tokens from the cache are counted apart.
pub(super) fn usage(usage: Usage) -> Value {
    let cached = usage.cached_tokens();
    json!({
        "input_tokens": usage.prompt_tokens.saturating_sub(cached),
        "cache_creation_input_tokens": 0, "cache_read_input_tokens": cached,
        "output_tokens": usage.completion_tokens,
    })
}
