//! One answer on its way from decoder to client: events in, pieces that may leave out.

use super::error::ApiError;
use super::record::Record;
use super::request::Extension;
use super::response::{Piece, TokenLogprob, Usage, scores};
use crate::guard::{Decision, Holdback, Stop};
use crate::host::Serving;
use crate::telemetry::metrics::Outcome;
use personaguard_model::{Event, FinishReason, Generation};
use serde_json::Value;
use std::sync::Arc;

/// One answer. Dropping it cancels the generation, and counts it as cancelled.
#[derive(Debug)]
pub(super) struct Answer {
    serving: Arc<Serving>,
    generation: Option<Generation>,
    decision: Decision,
    held: Holdback<Piece>,
    /// Text that the decoder kept back for a stop string, and gave up at the end.
    tail: Option<Piece>,
    record: Record,
    with_logprobs: bool,
    asked: Extension,
    /// For the extension: `[token][tap]`.
    projections: Vec<Vec<f32>>,
    usage: Usage,
    end: Option<Outcome>,
}

/// What comes next.
#[derive(Debug)]
pub(super) enum Next {
    /// A piece that may leave.
    Piece(Piece),
    /// The answer is complete.
    End {
        /// `stop`, `length` or `content_filter`.
        finish_reason: &'static str,
        /// Tokens.
        usage: Usage,
        /// The field `personaguard`, where it was asked for.
        scores: Option<Value>,
    },
}

impl Answer {
    pub(super) fn new(
        serving: Arc<Serving>,
        generation: Generation,
        decision: Decision,
        record: Record,
        with_logprobs: bool,
        asked: Extension,
    ) -> Self {
        Self {
            serving,
            generation: Some(generation),
            decision,
            held: Holdback::default(),
            tail: None,
            record,
            with_logprobs,
            asked,
            projections: Vec::new(),
            usage: Usage::default(),
            end: None,
        }
    }

    /// Whether pieces bring log probabilities.
    pub(super) fn with_logprobs(&self) -> bool {
        self.with_logprobs
    }

    /// What comes next; nothing after the end or an error.
    pub(super) async fn next(&mut self) -> Option<Result<Next, ApiError>> {
        loop {
            if let Some(piece) = self.release() {
                self.record.left();
                return Some(Ok(Next::Piece(piece)));
            }
            if let Some(outcome) = self.end.take() {
                self.record.close(&self.decision, outcome, self.usage);
                return Some(match outcome {
                    Outcome::Error => Err(self.failure()),
                    _ => Ok(self.ending(outcome)),
                });
            }
            let event = self.generation.as_mut()?.next().await;
            self.take(event);
        }
    }

    /// The next piece that may leave. Pieces without text wait for the text that completes them.
    fn release(&mut self) -> Option<Piece> {
        let limit = self.decision.releasable(self.held.taken());
        loop {
            let piece = match self.held.release(limit) {
                Some(piece) => piece,
                None if self.end.is_some() && self.decision.stop().is_none() => self.tail.take()?,
                None => return None,
            };
            if !piece.text.is_empty() || piece.logprob.is_some() {
                return Some(piece);
            }
        }
    }

    fn take(&mut self, event: Option<Event>) {
        match event {
            Some(Event::Prompt(prompt)) => {
                self.usage = Usage::new(prompt.tokens, 0);
                self.decision.prompt(&prompt.projections);
            }
            Some(Event::Token(token)) => {
                self.usage = Usage::new(self.usage.prompt_tokens, self.usage.completion_tokens + 1);
                self.decision.token(&token.projections);
                let logprob =
                    self.with_logprobs.then(|| TokenLogprob::new(&token, self.serving.engine.model().tokenizer()));
                self.held.push(Piece { text: token.text, logprob });
                if self.asked.tokens {
                    self.projections.push(token.projections);
                }
            }
            Some(Event::End(end)) => {
                self.usage = Usage::new(end.prompt_tokens, end.completion_tokens);
                self.decision.end();
                self.tail = Some(Piece { text: end.text, logprob: None });
                self.end(match end.reason {
                    FinishReason::Stop => Outcome::Stop,
                    FinishReason::Length => Outcome::Length,
                });
            }
            Some(Event::Failed(error)) => {
                tracing::error!(%error, "a generation failed");
                self.end(Outcome::Error);
            }
            None => self.end(Outcome::Error),
        }
        let breaches = self.decision.take_breaches();
        self.record.breaches(&self.decision, &breaches);
        match self.decision.stop() {
            Some(Stop::Blocked) => self.end(Outcome::ContentFilter),
            Some(Stop::Unscorable) => self.end(Outcome::Error),
            None => {}
        }
    }

    /// Ends the generation; what was cleared before may still leave.
    fn end(&mut self, outcome: Outcome) {
        self.generation = None;
        self.end = Some(outcome);
    }

    fn failure(&self) -> ApiError {
        match self.decision.stop() {
            Some(Stop::Unscorable) => ApiError::unscorable(),
            _ => ApiError::internal("The answer failed while it was written. Other requests go on."),
        }
    }

    fn ending(&self, outcome: Outcome) -> Next {
        Next::End {
            finish_reason: outcome.label(),
            usage: self.usage,
            scores: scores(&self.decision, &self.projections, self.asked),
        }
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.record.close(&self.decision, Outcome::Cancelled, self.usage);
    }
}
