//! Why a choice ended, as clients are told.

use serde::Serialize;

/// The field `finish_reason`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum FinishReason {
    /// The model ended it, or a stop string was found.
    Stop,
    /// `max_tokens` or the end of the context was reached.
    Length,
    /// Functions were called.
    ToolCalls,
    /// A policy stopped it.
    ContentFilter,
}
