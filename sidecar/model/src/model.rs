//! A loaded model: weights, tokenizer and chat template of one file.

use crate::template::{ChatOptions, TemplateError};
use crate::tokenizer::Tokenizer;
use std::path::{Path, PathBuf};

/// How to load a model.
#[derive(Clone, Debug, Default)]
pub struct LoadOptions {
    /// Longest context in tokens, prompt and response together. The model's own limit where it is lower or not given.
    pub context_length: Option<usize>,
    /// Threads that compute. Default: what the process may use, CPU limits of its container included.
    pub threads: Option<usize>,
    /// SHA-256 of the weight file in hex. Another file is refused.
    pub expected_sha256: Option<String>,
}

/// A model in memory. Immutable; [`crate::Engine::start`] runs it.
#[derive(Debug)]
pub struct Model {
    name: String,
    digest: String,
    tokenizer: Tokenizer,
}

impl Model {
    /// Reads a GGUF file.
    ///
    /// # Errors
    /// See [`LoadError`].
    pub fn load(path: &Path, _options: &LoadOptions) -> Result<Self, LoadError> {
        Err(LoadError::NotFound { path: path.to_path_buf() })
    }

    /// SHA-256 of the weight file, 64 lower-case hex digits. Persona vectors are bound to it.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// The model's own name for itself, or the file's where it has none.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Number of blocks L; layer numbers are 0..=L.
    #[must_use]
    pub fn layers(&self) -> usize {
        0
    }

    /// Values of the hidden state.
    #[must_use]
    pub fn hidden(&self) -> usize {
        0
    }

    /// Number of tokens in the vocabulary.
    #[must_use]
    pub fn vocabulary(&self) -> usize {
        0
    }

    /// Most tokens of prompt and response together.
    #[must_use]
    pub fn context_length(&self) -> usize {
        0
    }

    /// The tokenizer that came with the weights.
    #[must_use]
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// Renders messages by the model's chat template and tokenizes the result.
    ///
    /// `messages` are objects as in OpenAI's API, `{"role": …, "content": …}`. Text that looks like a control token
    /// inside a message is tokenized as plain text: a user cannot end a turn or open a system message.
    ///
    /// # Errors
    /// See [`TemplateError`].
    pub fn chat_prompt(
        &self,
        messages: &[serde_json::Value],
        options: &ChatOptions,
    ) -> Result<Vec<u32>, TemplateError> {
        let _ = (messages, options);
        Err(TemplateError::Missing)
    }
}

/// Why a model was not loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// No such file.
    #[error("{} does not exist: check the path, and that the volume with the weights is mounted", path.display())]
    NotFound {
        /// The path asked for.
        path: PathBuf,
    },
    /// The file could not be read.
    #[error("{} could not be read: {source}", path.display())]
    Io {
        /// The path asked for.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// Another file than expected.
    #[error(
        "the weights have SHA-256 {found}, expected {expected}: the file was replaced or damaged; fetch it again, or \
         correct the digest if the change was meant"
    )]
    DigestMismatch {
        /// What the caller expects.
        expected: String,
        /// What the file has.
        found: String,
    },
    /// The file breaks its format.
    #[error("the weight file is damaged: {what}; fetch it again")]
    Corrupt {
        /// What is wrong.
        what: String,
    },
    /// The file may be sound, but this engine does not run it.
    #[error("this model is not supported: {what}")]
    Unsupported {
        /// What is missing.
        what: String,
    },
    /// A load option out of range.
    #[error("{what}")]
    Options {
        /// What is wrong.
        what: String,
    },
}
