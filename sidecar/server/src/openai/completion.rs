//! Bodies of responses, and the choices of whole ones.

use super::extension::ScoreReport;
use super::finish_reason::FinishReason;
use super::tool::ToolCall;
use super::usage::Usage;
use serde::Serialize;

/// What a body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) enum Object {
    /// A whole response of `chat/completions`.
    #[serde(rename = "chat.completion")]
    Chat,
    /// A chunk of a streamed one.
    #[serde(rename = "chat.completion.chunk")]
    ChatChunk,
    /// A response of `completions`, or a chunk of it.
    #[serde(rename = "text_completion")]
    Text,
}

/// A whole response or one chunk of it; `C` is a [`Choice`], [`TextChoice`] or
/// [`super::ChunkChoice`].
#[derive(Clone, Debug, Serialize)]
pub(crate) struct CompletionBody<'a, C> {
    pub(crate) id: &'a str,
    pub(crate) object: Object,
    pub(crate) created: i64,
    pub(crate) model: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) system_fingerprint: Option<&'a str>,
    pub(crate) choices: Vec<C>,
    /// In streams: absent, or null in all chunks but the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) usage: Option<Option<Usage>>,
    /// Scores of the only choice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) personaguard: Option<ScoreReport>,
}

/// One choice of a whole chat response.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Choice {
    pub(crate) index: usize,
    pub(crate) message: Message,
    pub(crate) logprobs: Option<Logprobs>,
    pub(crate) finish_reason: FinishReason,
    /// Scores, where there are several choices.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) personaguard: Option<ScoreReport>,
}

/// What the assistant says.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Message {
    role: &'static str,
    content: Option<String>,
    /// What the model thought before, by the name that most servers have for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_content: Option<String>,
    /// The same by vLLM's newer name.
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning: Option<String>,
    /// Always null: this server does not write refusals of a model's own.
    refusal: (),
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<ToolCall>,
}

impl Message {
    /// A message of the assistant. Its content is null where it calls functions and says nothing.
    pub(crate) fn new(text: String, tool_calls: Vec<ToolCall>) -> Self {
        let content = (tool_calls.is_empty() || !text.is_empty()).then_some(text);
        Self {
            role: "assistant",
            content,
            reasoning_content: None,
            reasoning: None,
            refusal: (),
            tool_calls,
        }
    }

    /// The same, with what the model thought before, if anything.
    #[must_use]
    pub(crate) fn with_reasoning(self, thought: String) -> Self {
        let thought = Some(thought).filter(|thought| !thought.is_empty());
        Self { reasoning_content: thought.clone(), reasoning: thought, ..self }
    }
}

/// One choice of `completions`, whole or in a chunk.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct TextChoice<'a> {
    pub(crate) index: usize,
    pub(crate) text: &'a str,
    /// Always null: they are not told here.
    pub(crate) logprobs: (),
    pub(crate) finish_reason: Option<FinishReason>,
}

/// Log probabilities of a choice's tokens.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Logprobs {
    content: Vec<TokenLogprob>,
    refusal: (),
}

impl Logprobs {
    pub(crate) fn new(content: Vec<TokenLogprob>) -> Self {
        Self { content, refusal: () }
    }
}

/// Log probability of a token.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct TokenLogprob {
    pub(crate) token: String,
    pub(crate) logprob: f64,
    pub(crate) bytes: Vec<u8>,
    pub(crate) top_logprobs: Vec<TopLogprob>,
}

/// Log probability of an alternative to a token.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct TopLogprob {
    pub(crate) bytes: Vec<u8>,
    pub(crate) logprob: f64,
    pub(crate) token: String,
}
