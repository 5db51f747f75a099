//! What the engine tells a caller while a request runs.

use super::error::EngineError;
use crate::residual::MeanStates;
use tokio::sync::mpsc;

/// One thing that happened to a [`Generation`].
///
/// A generation that succeeds yields one `Prefill`, then a `Token` for each token in order, then
/// one `End`. One that fails yields `Failed` as its last event instead of `End`.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The prompt was computed.
    Prefill(Prefill),
    /// A response token was computed, so that its activation is known.
    Token(Token),
    /// The response is complete.
    End(End),
    /// The request cannot be finished.
    Failed(EngineError),
}

/// What was read from the prompt.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Prefill {
    /// Tokens of the prompt.
    pub tokens: usize,
    /// How many of them were taken from the prefix cache.
    pub cached: usize,
    /// One projection for each tap, at the last prompt token (`prompt_last`).
    pub projections: Vec<f32>,
}

/// One response token.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Token {
    /// The token's number. The token that ends the sequence is not reported.
    pub id: u32,
    /// Text that became complete with this token. It is empty while a character is incomplete, or
    /// while the text so far may turn out to be a stop string; a later token, or the end, brings
    /// it.
    pub text: String,
    /// Natural logarithm of the model's probability for this token, before temperature, penalties
    /// and truncation.
    pub logprob: f32,
    /// The likeliest tokens at this position, as many as `top_logprobs` asked for, likeliest first.
    pub top: Vec<TokenProbability>,
    /// One projection for each tap, at this token.
    pub projections: Vec<f32>,
}

/// An alternative to a token.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct TokenProbability {
    /// The token's number.
    pub id: u32,
    /// Natural logarithm of the model's probability.
    pub logprob: f32,
}

/// How a response ended.
#[derive(Clone, Debug, PartialEq)]
pub struct End {
    /// Why it ended.
    pub reason: FinishReason,
    /// The stop string that ended it, if one did.
    pub stop: Option<String>,
    /// Text that was held back (see [`Token::text`]) and belongs to the response after all.
    pub text: String,
    /// Tokens of the prompt.
    pub prompt_tokens: usize,
    /// Tokens of the response. A token that ends the sequence counts, as in OpenAI's API, although
    /// it has no `Token` event.
    pub completion_tokens: usize,
    /// Mean hidden states, where the request asked for them.
    pub states: Option<Box<MeanStates>>,
}

/// Why a response ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FinishReason {
    /// The model ended it, a stop string was found, or its grammar allows nothing more.
    Stop,
    /// `max_tokens` or the end of the context was reached.
    Length,
}

/// A running request. Dropping it cancels the request at the engine's next step.
#[derive(Debug)]
pub struct Generation {
    events: mpsc::Receiver<Event>,
}

impl Generation {
    pub(super) fn new(events: mpsc::Receiver<Event>) -> Self {
        Self { events }
    }

    /// The next event; `None` after `End` or `Failed`. Cancel-safe.
    ///
    /// The channel has room for all events of the request, whose number `max_tokens` bounds: a slow
    /// reader delays no other request.
    pub async fn next(&mut self) -> Option<Event> {
        self.events.recv().await
    }

    /// As [`Self::next`], for use outside an async runtime.
    pub fn blocking_next(&mut self) -> Option<Event> {
        self.events.blocking_recv()
    }
}
