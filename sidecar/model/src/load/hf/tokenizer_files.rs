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
}
