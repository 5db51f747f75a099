//! The files of a folder that describe its tokenizer.

use serde_json::Value;

/// Contents of the files that describe a tokenizer.
pub(crate) struct HfTokenizerFiles {
    /// `tokenizer.json`.
    pub(crate) tokenizer: Vec<u8>,
    /// `tokenizer_config.json`, or null.
    pub(crate) config: Value,
    /// `generation_config.json`, or null.
    pub(crate) generation: Value,
    /// `config.json`.
    pub(crate) model: Value,
    /// Number of tokens that the weights know, as `config.json` has it: added tokens beyond are
    /// left out.
    pub(crate) vocab_size: usize,
}

impl HfTokenizerFiles {
    /// The chat template in `tokenizer_config.json`: a string, or the one named `default` in a
    /// list.
    pub(super) fn chat_template(&self) -> Option<String> {
        match self.config.get("chat_template")? {
            Value::String(template) => Some(template.clone()),
            Value::Array(named) => named
                .iter()
                .find(|entry| entry.get("name").and_then(Value::as_str) == Some("default"))
                .and_then(|entry| entry.get("template")?.as_str().map(str::to_owned)),
            _ => None,
        }
    }
}
