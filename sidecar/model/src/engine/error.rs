//! What can go wrong, from starting the engine to the end of a request.

use crate::grammar::NoValidToken;
use std::time::Duration;

/// Why an engine did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The system refused a thread.
    #[error("the engine's thread could not be started")]
    Thread(#[from] std::io::Error),
    /// An option with which nothing could run.
    #[error("{0}")]
    Options(&'static str),
    /// The KV cache is too small.
    #[error("{given} bytes of KV cache hold no request; give at least {needed}")]
    KvBytes {
        /// Bytes that were given.
        given: usize,
        /// Bytes of the smallest cache.
        needed: usize,
    },
}

/// Why a request was not queued.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum SubmitError {
    /// Too many requests are waiting already.
    #[error("too many requests wait: try again in {} s", retry_after.as_secs().max(1))]
    QueueFull {
        /// When there is likely to be room, estimated from recent requests.
        retry_after: Duration,
    },
    /// Prompt and response do not fit into the context.
    #[error(
        "the request takes {tokens} tokens at least, the context holds {context_length}: shorten \
         the prompt"
    )]
    ContextTooLong {
        /// Tokens of the prompt, and of the response or its first token.
        tokens: usize,
        /// See [`crate::Engine::context_length`].
        context_length: usize,
    },
    /// There is nothing to continue.
    #[error("the prompt has no tokens")]
    EmptyPrompt,
    /// A token that the model does not know.
    #[error(
        "token {token} is not in the vocabulary of {vocab_size} tokens: tokenize with this model's \
         tokenizer"
    )]
    UnknownToken {
        /// The token.
        token: u32,
        /// Number of tokens that the model knows.
        vocab_size: usize,
    },
    /// A layer that the model does not have.
    #[error("layer {layer} does not exist: the model has layers 0 to {layers}")]
    InvalidLayer {
        /// The layer that was asked for.
        layer: usize,
        /// The model's last layer.
        layers: usize,
    },
    /// A vector of another model.
    #[error(
        "a vector has {found} values, the model's hidden state {hidden_size}: it was made for \
         another model"
    )]
    InvalidWidth {
        /// Values of the vector.
        found: usize,
        /// Values of the hidden state.
        hidden_size: usize,
    },
    /// A parameter out of range.
    #[error("{name} {message}")]
    Parameter {
        /// Its name, as in OpenAI's API.
        name: &'static str,
        /// What it must be.
        message: &'static str,
    },
    /// The engine has shut down.
    #[error("the model server is stopping: try again on another replica")]
    Stopped,
}

/// Why a running request failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// The engine was shut down.
    #[error("the model server is stopping: try again on another replica")]
    Stopped,
    /// The model's activations or logits are not finite.
    #[error(
        "the model's output is not finite: a steering coefficient is too large, or the weights are \
         damaged"
    )]
    NotFinite,
    /// No token continues the response within its grammar, or finding one costs too much.
    #[error("no token continues the response in the format asked for: use a simpler schema")]
    Format,
    /// A bug.
    #[error("the engine failed on this request; other requests go on. See the log of the sidecar")]
    Internal,
}

impl From<NoValidToken> for EngineError {
    fn from(_: NoValidToken) -> Self {
        Self::Format
    }
}

/// Why a response was not scored.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ScoreError {
    /// The request was not queued.
    #[error(transparent)]
    Submit(#[from] SubmitError),
    /// The request failed later.
    #[error(transparent)]
    Engine(#[from] EngineError),
}
