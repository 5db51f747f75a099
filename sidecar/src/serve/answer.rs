//! One answer on its way from decoder to client: events in, pieces that may leave out.

use super::attempt::{Attempt, Keep};
use super::calls::{CallReader, Callables, Part};
use super::coherence::Watch;
use super::error::ApiError;
use super::record::{Record, Said};
use super::request::Extension;
use super::response::Usage;
use super::retry::Retry;
use super::scores::scores;
use crate::guard::{Decision, Stop};
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
    attempt: Attempt,
    retry: Option<Retry>,
    /// Where it is steered.
    watch: Option<Watch>,
    record: Record,
    with_logprobs: bool,
    asked: Extension,
    /// What can be called, if anything.
    callables: Option<Arc<Callables>>,
    /// Where the conversation is to be written down.
    prompt: Option<Prompt>,
    ended: bool,
}

/// What comes next.
#[derive(Debug)]
pub(super) enum Next {
    /// Something that may leave.
    Part(Part),
    /// The answer is complete.
    End {
        /// `stop`, `length`, `tool_calls` or `content_filter`.
        finish_reason: &'static str,
        /// Tokens.
        usage: Usage,
        /// The field `personaguard`, where it was asked for.
        scores: Option<Value>,
    },
}

/// What an answer is made of.
pub(super) struct Parts {
    pub(super) serving: Arc<Serving>,
    pub(super) generation: Generation,
    pub(super) decision: Decision,
    pub(super) record: Record,
    pub(super) retry: Option<Retry>,
    pub(super) watch: Option<Watch>,
    pub(super) with_logprobs: bool,
    pub(super) asked: Extension,
    pub(super) callables: Option<Arc<Callables>>,
    pub(super) prompt: Option<Prompt>,
}

/// What is answered.
#[derive(Debug)]
pub(super) struct Prompt {
    pub(super) messages: Vec<Value>,
    /// Where its tokens follow from more than the messages: those.
    pub(super) tokens: Vec<u32>,
}

impl Answer {
    pub(super) fn new(parts: Parts) -> Self {
        let Parts {
            serving,
            generation,
            decision,
            record,
            retry,
            watch,
            with_logprobs,
            asked,
            callables,
            prompt,
        } = parts;
        Self {
            serving,
            generation: Some(generation),
            attempt: Attempt::new(decision, reader(callables.as_ref())),
            retry,
            watch,
            record,
            with_logprobs,
            asked,
            callables,
            prompt,
            ended: false,
        }
    }

    /// Whether pieces bring log probabilities.
    pub(super) fn with_logprobs(&self) -> bool {
        self.with_logprobs
    }

    /// Waits until the prompt was read, or the answer ended before that.
    pub(super) async fn prompted(&mut self) {
        while self.attempt.usage.prompt_tokens == 0 && self.attempt.outcome.is_none() {
            let Some(generation) = &mut self.generation else { return };
            let event = generation.next().await;
            self.take(event);
        }
    }

    /// It never was: nothing is counted.
    pub(super) fn forget(mut self) {
        self.ended = true;
    }

    /// What comes next; nothing after the end or an error.
    pub(super) async fn next(&mut self) -> Option<Result<Next, ApiError>> {
        loop {
            if self.ended {
                return None;
            }
            let part = self.attempt.release();
            if self.attempt.ends_here() {
                self.end(Outcome::Stop);
                self.judged();
            }
            if let Some(part) = part {
                self.record.left();
                return Some(Ok(Next::Part(part)));
            }
            if let Some(outcome) = self.attempt.outcome {
                self.ended = true;
                self.close(outcome);
                return Some(match outcome {
                    Outcome::Error => Err(self.failure()),
                    _ => Ok(self.ending(outcome)),
                });
            }
            let event = self.generation.as_mut()?.next().await;
            self.take(event);
        }
    }

    fn take(&mut self, event: Option<Event>) {
        let said = self.prompt.is_some() || self.watch.is_some();
        let keep = Keep { projections: self.asked.tokens, said };
        match event {
            Some(Event::Prefill(prompt)) => self.attempt.prompt(&prompt),
            Some(Event::Token(token)) => {
                let tokenizer = self.with_logprobs.then(|| self.serving.engine.model().tokenizer());
                self.attempt.token(token, tokenizer, keep);
            }
            Some(Event::End(end)) => {
                let outcome = match end.reason {
                    FinishReason::Stop => Outcome::Stop,
                    FinishReason::Length => Outcome::Length,
                };
                self.attempt.end(end, keep);
                self.end(outcome);
            }
            Some(Event::Failed(error)) => {
                tracing::error!(%error, "a generation failed");
                self.end(Outcome::Error);
            }
            None => self.end(Outcome::Error),
        }
        self.judged();
    }

    /// Acts on what was decided last.
    fn judged(&mut self) {
        let breaches = self.attempt.decision.take_breaches();
        self.record.breaches(&self.attempt.decision, &breaches);
        match self.attempt.decision.stop() {
            Some(Stop::Blocked | Stop::Redacted) => self.end(Outcome::ContentFilter),
            Some(Stop::Unscorable) => self.end(Outcome::Error),
            None => {}
        }
        if self.attempt.outcome.is_some() {
            self.try_again();
        }
    }

    /// Ends the generation; what was cleared before may still leave.
    fn end(&mut self, outcome: Outcome) {
        self.generation = None;
        self.attempt.outcome = Some(outcome);
    }

    /// After an attempt: begins another one, or takes the best of them all.
    fn try_again(&mut self) {
        let Some(retry) = &mut self.retry else { return };
        if let Some((generation, decision)) = retry.next(&self.serving, &self.attempt) {
            self.record.again();
            let attempt = std::mem::replace(
                &mut self.attempt,
                Attempt::new(decision, reader(self.callables.as_ref())),
            );
            self.record.discard(retry.keep(attempt));
            self.generation = Some(generation);
            return;
        }
        if let Some(best) = self.retry.take().and_then(Retry::best)
            && best.distance() <= self.attempt.distance()
        {
            self.record.discard(self.attempt.usage.completion_tokens);
            self.attempt = best;
        }
    }

    fn close(&mut self, outcome: Outcome) {
        if let Some(watch) =
            self.watch.take().filter(|_| matches!(outcome, Outcome::Stop | Outcome::Length))
        {
            watch.ended(self.attempt.tokens.clone());
        }
        if let Some(Prompt { messages, tokens: prompt }) = self.prompt.take() {
            let (tokens, text) =
                (std::mem::take(&mut self.attempt.tokens), std::mem::take(&mut self.attempt.text));
            self.record.converse(Said { messages, prompt, tokens, text }, &self.attempt.decision);
        }
        self.record.close(&self.attempt.decision, outcome, self.attempt.usage);
    }

    fn failure(&self) -> ApiError {
        match self.attempt.decision.stop() {
            Some(Stop::Unscorable) => ApiError::unscorable(),
            _ => {
                ApiError::internal("The answer failed while it was written. Other requests go on.")
            }
        }
    }

    fn ending(&self, outcome: Outcome) -> Next {
        let attempt = &self.attempt;
        Next::End {
            finish_reason: match outcome {
                Outcome::Stop if attempt.has_called() => "tool_calls",
                _ => outcome.label(),
            },
            usage: attempt.usage,
            scores: scores(
                &attempt.decision,
                &attempt.projections,
                self.asked,
                self.record.attempts(),
            ),
        }
    }
}

fn reader(callables: Option<&Arc<Callables>>) -> Option<CallReader> {
    callables.map(|callables| CallReader::new(Arc::clone(callables)))
}

impl Drop for Answer {
    fn drop(&mut self) {
        if !self.ended {
            self.close(Outcome::Cancelled);
        }
    }
}
