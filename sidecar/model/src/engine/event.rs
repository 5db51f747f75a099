//! What the engine tells a caller while a request runs.

use super::score::MeanStates;
use tokio::sync::mpsc;

/// One thing that happened to a [`Generation`].
///
/// A generation that succeeds yields one `Prompt`, then a `Token` for each token in order, then one
/// `End`. One that fails yields `Failed` last instead of `End`.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The prompt was read.
    Prompt(PromptRead),
    /// A response token was fed, so that its activation is known.
    Token(Token),
    /// The response is complete.
    End(End),
    /// The request cannot be finished.
    Failed(EngineError),
}

/// The prompt's read-out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PromptRead {
    /// Tokens of the prompt.
    pub tokens: usize,
    /// How many of them were taken from the cache of an earlier request with the same beginning.
    pub cached: usize,
    /// One value for each probe, at the last prompt token (`prompt_last`).
    pub projections: Vec<f32>,
}

/// One response token.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Token {
    /// Token id. The token that ends the sequence is not reported.
    pub id: u32,
    /// Text that became complete with this token: empty while a character is incomplete, or while
    /// the text so far may turn out to be a stop string; then a later token, or the end, brings it.
    pub text: String,
    /// Natural logarithm of the model's probability for this token, before temperature, penalties
    /// and cuts.
    pub logprob: f32,
    /// The likeliest tokens here, as many as `top_logprobs` asked for.
    pub top: Vec<TokenProbability>,
    /// One value for each probe, at this token.
    pub projections: Vec<f32>,
}

/// An alternative to a token.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct TokenProbability {
    /// Token id.
    pub id: u32,
    /// Natural logarithm of the model's probability.
    pub logprob: f32,
}

/// How a response ended.
#[derive(Clone, Debug, PartialEq)]
pub struct End {
    /// Why.
    pub reason: FinishReason,
    /// Text that was held back (see [`Token::text`]) and belongs to the response after all.
    pub text: String,
    /// Tokens of the prompt.
    pub prompt_tokens: usize,
    /// Tokens of the response. A token that ends the sequence counts, as in OpenAI's API; it has no
    /// `Token` event.
    pub completion_tokens: usize,
    /// Mean hidden states, where the request asked for them.
    pub states: Option<Box<MeanStates>>,
}

/// Why a response ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FinishReason {
    /// The model ended it, or a stop string was found.
    Stop,
    /// `max_tokens` or the context's end was reached.
    Length,
}

/// Why a running request failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// The engine was shut down.
    #[error("the model server is stopping: try again on another replica")]
    Stopped,
    /// The model gave values that are no numbers.
    #[error(
        "the model's output is not finite: a steering coefficient is too large, or the weights are damaged"
    )]
    NotFinite,
    /// No token continues the response in the format that was asked for, or finding one costs too
    /// much.
    #[error("no token continues the response in the format asked for: use a simpler schema")]
    Format,
    /// A bug.
    #[error("the engine failed on this request; other requests go on. See the log of the sidecar")]
    Internal,
}

/// A running request. Dropping it cancels the request at the engine's next step.
#[derive(Debug)]
pub struct Generation {
    pub(crate) events: mpsc::Receiver<Event>,
}

impl Generation {
    /// The next event; `None` after `End` or `Failed`. Cancel-safe.
    ///
    /// The channel holds all that the request may produce (`max_tokens` bounds it), so a slow
    /// reader stalls nobody.
    pub async fn next(&mut self) -> Option<Event> {
        self.events.recv().await
    }

    /// As [`Self::next`], for use outside an async runtime.
    pub fn blocking_next(&mut self) -> Option<Event> {
        self.events.blocking_recv()
    }
}
