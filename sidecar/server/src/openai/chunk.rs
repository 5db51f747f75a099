//! Choices of streamed chat responses.

use super::completion::Logprobs;
use super::extension::ScoreReport;
use super::finish_reason::FinishReason;
use super::tool::ToolCall;
use serde::Serialize;

/// One choice of a chunk.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ChunkChoice {
    pub(crate) index: usize,
    pub(crate) delta: Delta,
    pub(crate) logprobs: Option<Logprobs>,
    pub(crate) finish_reason: Option<FinishReason>,
    /// Scores, where there are several choices.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) personaguard: Option<ScoreReport>,
}

impl ChunkChoice {
    /// A choice that goes on with `delta`.
    pub(crate) fn new(index: usize, delta: Delta) -> Self {
        Self { index, delta, logprobs: None, finish_reason: None, personaguard: None }
    }
}

/// What a chunk adds to a choice.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Delta {
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<String>,
    /// As in [`super::Message`].
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_content: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refusal: Option<()>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_calls: Option<[ToolCall; 1]>,
}

impl Delta {
    /// The assistant begins, with these words.
    pub(crate) fn role(content: String) -> Self {
        Self {
            role: Some("assistant"),
            content: Some(content),
            refusal: Some(()),
            ..Self::default()
        }
    }

    pub(crate) fn content(text: String) -> Self {
        Self { content: Some(text), ..Self::default() }
    }

    /// The model thinks.
    pub(crate) fn reasoning(text: String) -> Self {
        Self { reasoning_content: Some(text.clone()), reasoning: Some(text), ..Self::default() }
    }

    pub(crate) fn tool_call(call: ToolCall) -> Self {
        Self { tool_calls: Some([call]), ..Self::default() }
    }
}
