//! How the upstream server says that a choice ended.

use serde_json::Value;

/// How a choice ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::proxy) enum Finish {
    Stop,
    Length,
}

/// Reasons that leave as they are.
const KNOWN: [&str; 12] = [
    "stop",
    "length",
    "tool_calls",
    "function_call",
    "content_filter",
    "end_turn",
    "max_tokens",
    "stop_sequence",
    "tool_use",
    "pause_turn",
    "refusal",
    "model_context_window_exceeded",
];

/// The reason as it leaves, and what it means. An empty one means "not finished", as null does; one
/// that is not known becomes `otherwise`.
pub(super) fn read(reason: &Value, otherwise: &str) -> (Value, Option<Finish>) {
    let Some(reason) = reason.as_str().filter(|reason| !reason.is_empty()) else {
        return (Value::Null, None);
    };
    let is_short = matches!(reason, "length" | "max_tokens" | "model_context_window_exceeded");
    let finish = if is_short { Finish::Length } else { Finish::Stop };
    let known = if KNOWN.contains(&reason) { reason } else { otherwise };
    (known.into(), Some(finish))
}
