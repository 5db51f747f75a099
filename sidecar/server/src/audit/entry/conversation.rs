//! An entry of the conversation log.

use super::change::Change;
use personaguard_terms::Digest;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A conversation, word for word. From it and the vectors, `personaguard replay` computes the
/// scores again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Conversation {
    /// Always `conversation`.
    pub kind: String,
    /// Id of the response.
    pub response_id: String,
    /// SHA-256 of the weight file.
    pub model: Option<Digest>,
    /// `{"role", "content"}` each.
    pub messages: Vec<Value>,
    /// Tokens of the prompt, if they follow from more than the messages: in placement Proxy.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub prompt: Vec<u32>,
    /// Tokens that the model wrote and that were scored, whether they left or not.
    pub tokens: Vec<u32>,
    /// How many of them, from the first on, are reasoning.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub reasoning_tokens: usize,
    /// All of them as text.
    pub text: String,
    /// What was done to the residual stream.
    pub changes: Vec<Change>,
}

impl Conversation {
    /// Value of [`Conversation::kind`].
    pub const KIND: &str = "conversation";
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_zero(tokens: &usize) -> bool {
    *tokens == 0
}
