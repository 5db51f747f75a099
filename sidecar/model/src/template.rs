//! Chat templates: jinja from the model file, rendered under limits, because a model file is anybody's.

/// What a chat template is given besides the messages.
#[derive(Clone, Debug)]
pub struct ChatOptions {
    /// Opens the assistant's turn, so that the model answers. On by default.
    pub add_generation_prompt: bool,
    /// Further variables of the template, such as `tools` or `enable_thinking`.
    pub variables: serde_json::Map<String, serde_json::Value>,
}

impl Default for ChatOptions {
    fn default() -> Self {
        Self { add_generation_prompt: true, variables: serde_json::Map::new() }
    }
}

/// Why messages were not turned into a prompt.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// The file has none.
    #[error("the model has no chat template: it is a base model; use a chat model")]
    Missing,
    /// The template refuses these messages.
    #[error("the model's chat template refuses these messages: {0}")]
    Refused(String),
    /// The template cannot be rendered.
    #[error("the model's chat template failed: {0}")]
    Failed(String),
}
