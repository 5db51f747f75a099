//! The bodies of `responses`.

use crate::chat::guarded::End;
use crate::chat::response_head::ResponseHead;
use crate::openai::{FinishReason, ScoreReport, ToolCall, Usage};
use serde::Serialize;
use serde_json::{Value, json};

/// A response, whole or as far as it is.
#[derive(Debug, Serialize)]
pub(super) struct ResponseBody<'a> {
    id: &'a str,
    object: &'static str,
    created_at: i64,
    status: &'static str,
    error: (),
    incomplete_details: Value,
    instructions: (),
    model: &'a str,
    output: Vec<Value>,
    parallel_tool_calls: bool,
    previous_response_id: (),
    store: bool,
    tool_choice: &'static str,
    tools: [(); 0],
    usage: Value,
    metadata: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    personaguard: Option<&'a ScoreReport>,
}

impl<'a> ResponseBody<'a> {
    /// A response that says this; without an end it is still being written.
    pub(super) fn new(head: &'a ResponseHead, output: Vec<Value>, end: Option<&'a End>) -> Self {
        let cut = end.and_then(|end| cut(end.finish_reason));
        Self {
            id: &head.id,
            object: "response",
            created_at: head.created,
            status: match (end, cut) {
                (None, _) => "in_progress",
                (Some(_), None) => "completed",
                (Some(_), Some(_)) => "incomplete",
            },
            error: (),
            incomplete_details: cut.map_or(Value::Null, |reason| json!({ "reason": reason })),
            instructions: (),
            model: &head.model,
            output,
            parallel_tool_calls: true,
            previous_response_id: (),
            store: false,
            tool_choice: "auto",
            tools: [],
            usage: end.map_or(Value::Null, |end| usage(end.usage)),
            metadata: json!({}),
            personaguard: end.and_then(|end| end.scores.as_ref()),
        }
    }

    /// The last event of a stream of it.
    pub(super) fn last_event(&self) -> &'static str {
        match self.status {
            "incomplete" => "response.incomplete",
            _ => "response.completed",
        }
    }
}

/// Why a response is incomplete, if it is.
fn cut(finish_reason: FinishReason) -> Option<&'static str> {
    match finish_reason {
        FinishReason::Length => Some("max_output_tokens"),
        FinishReason::ContentFilter => Some("content_filter"),
        FinishReason::Stop | FinishReason::ToolCalls => None,
    }
}

fn usage(usage: Usage) -> Value {
    let (input, output) = (usage.prompt_tokens, usage.completion_tokens);
    json!({
        "input_tokens": input, "input_tokens_details": { "cached_tokens": usage.cached_tokens() },
        "output_tokens": output,
        "output_tokens_details": { "reasoning_tokens": usage.reasoning_tokens() },
        "total_tokens": input + output,
    })
}

/// A call of a function.
pub(super) fn call(call: &ToolCall) -> Value {
    json!({
        "type": "function_call", "id": call.id.replacen("call_", "fc_", 1), "call_id": call.id,
        "name": call.function.name, "arguments": call.function.arguments, "status": "completed",
    })
}
