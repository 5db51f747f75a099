//! One choice on its way from decoder to client: events of the engine in, parts that may leave out.

use super::attempt::{Attempt, Retain};
use super::call::{Callables, Part};
use super::call_reader::CallReader;
use super::coherence::CoherenceCheck;
use super::reasoning::ReasoningReader;
use super::retry::Retry;
use super::scores::score_report;
use crate::http::ApiError;
use crate::openai::{FinishReason, ScoreReport, Usage};
use crate::runtime::ActiveModel;
use crate::session::{Exchange, Record, ReportOptions, SectionReader};
use crate::telemetry::labels::Outcome;
use personaguard_guard::{Decision, Stop};
use personaguard_model::{Event, FinishReason as EndReason, Generation};
use serde_json::Value;
use std::sync::Arc;

/// A generation under a guard. Dropping it cancels the generation, and counts the choice as
/// cancelled.
#[derive(Debug)]
pub(super) struct GuardedGeneration {
    generation: Option<Generation>,
    attempt: Attempt,
    setup: Setup,
    is_closed: bool,
}

/// What a guarded generation needs beside generation and decision.
#[derive(Debug)]
pub(super) struct Setup {
    pub(super) active: Arc<ActiveModel>,
    pub(super) record: Record,
    pub(super) retry: Option<Retry>,
    /// Where the choice is steered.
    pub(super) coherence: Option<CoherenceCheck>,
    pub(super) with_logprobs: bool,
    pub(super) report: ReportOptions,
    /// How sections are told apart for the policies.
    pub(super) sections: SectionReader,
    /// Where reasoning is told apart.
    pub(super) reasoning: Option<ReasoningReader>,
    /// What can be called, if anything.
    pub(super) callables: Option<Arc<Callables>>,
    /// Where the conversation is to be logged.
    pub(super) prompt: Option<Prompt>,
}

/// What is answered.
#[derive(Debug)]
pub(super) struct Prompt {
    pub(super) messages: Vec<Value>,
    /// Its tokens, where they do not follow from the messages alone.
    pub(super) tokens: Vec<u32>,
}

/// What comes next of a choice.
#[derive(Debug)]
pub(super) enum Output {
    /// Something that may leave.
    Part(Part),
    /// The choice is complete.
    End(End),
}

/// How a choice ended.
#[derive(Debug)]
pub(super) struct End {
    pub(super) finish_reason: FinishReason,
    /// The stop string that ended it, if one did.
    pub(super) stop: Option<String>,
    pub(super) usage: Usage,
    /// The field `personaguard`, where it was asked for.
    pub(super) scores: Option<ScoreReport>,
}

impl GuardedGeneration {
    pub(super) fn new(generation: Generation, decision: Decision, setup: Setup) -> Self {
        let attempt = setup.attempt(decision);
        Self { generation: Some(generation), attempt, setup, is_closed: false }
    }

    /// Whether parts bring log probabilities.
    pub(super) fn with_logprobs(&self) -> bool {
        self.setup.with_logprobs
    }

    /// Waits until the prompt was read, or the choice ended before that.
    pub(super) async fn prompt_read(&mut self) {
        while self.attempt.usage.prompt_tokens == 0 && self.attempt.outcome.is_none() {
            let Some(generation) = &mut self.generation else { return };
            let event = generation.next().await;
            self.take(event);
        }
    }

    /// The response never began: nothing is counted.
    pub(super) fn forget(mut self) {
        self.is_closed = true;
    }

    /// What comes next; nothing after the end or an error.
    pub(super) async fn next(&mut self) -> Option<Result<Output, ApiError>> {
        loop {
            if self.is_closed {
                return None;
            }
            let part = self.attempt.release();
            if self.attempt.finish_early() {
                self.end(Outcome::Stop);
                self.act();
            }
            if let Some(part) = part {
                self.setup.record.left();
                return Some(Ok(Output::Part(part)));
            }
            if let Some(outcome) = self.attempt.outcome {
                self.is_closed = true;
                self.close(outcome);
                let recorded = self.setup.record.settled().await;
                if !recorded && self.attempt.decision.plan().fails_closed() {
                    return Some(Err(ApiError::unrecorded()));
                }
                return Some(self.ending(outcome));
            }
            let event = self.generation.as_mut()?.next().await;
            self.take(event);
        }
    }

    fn take(&mut self, event: Option<Event>) {
        let retain = Retain {
            projections: self.setup.report.tokens,
            text: self.setup.prompt.is_some() || self.setup.coherence.is_some(),
            logprobs: self.setup.with_logprobs,
        };
        match event {
            Some(Event::Prefill(prompt)) => self.attempt.add_prompt(&prompt),
            Some(Event::Token(token)) => {
                let tokenizer = self.setup.active.engine.model().tokenizer();
                self.attempt.add_token(token, tokenizer, retain);
            }
            Some(Event::End(end)) => {
                let outcome = match end.reason {
                    EndReason::Stop => Outcome::Stop,
                    EndReason::Length => Outcome::Length,
                };
                self.attempt.finish(end, retain);
                self.end(outcome);
            }
            Some(Event::Failed(error)) => {
                tracing::error!(%error, "a generation failed");
                self.end(Outcome::Error);
            }
            None => self.end(Outcome::Error),
        }
        self.act();
    }

    /// Acts on what was decided last.
    fn act(&mut self) {
        let breaches = self.attempt.decision.take_breaches();
        self.setup.record.breaches(&self.attempt.decision, &breaches);
        match self.attempt.decision.stop() {
            Some(Stop::Blocked | Stop::Redacted) => self.end(Outcome::ContentFilter),
            Some(Stop::Unscorable) => self.end(Outcome::Error),
            None => {}
        }
        if self.attempt.outcome.is_some() {
            self.retry();
        }
    }

    /// Ends the generation; what was cleared before may still leave.
    fn end(&mut self, outcome: Outcome) {
        self.generation = None;
        self.attempt.outcome = Some(outcome);
    }

    /// After an attempt: begins another one, or takes the best of them all.
    fn retry(&mut self) {
        let Some(mut further) = self.setup.retry.take() else { return };
        if let Some((generation, decision)) = further.next(&self.setup.active, &self.attempt) {
            let next = self.setup.attempt(decision);
            let before = std::mem::replace(&mut self.attempt, next);
            self.setup.record.again();
            self.setup.record.discard(further.keep(before));
            self.setup.retry = Some(further);
            self.generation = Some(generation);
            return;
        }
        if let Some(best) = further.best()
            && best.distance() <= self.attempt.distance()
        {
            self.setup.record.discard(self.attempt.usage.completion_tokens);
            self.attempt = best;
        }
    }

    fn close(&mut self, outcome: Outcome) {
        let Self { attempt, setup, .. } = self;
        if let Some(coherence) = setup.coherence.take()
            && matches!(outcome, Outcome::Stop | Outcome::Length)
        {
            coherence.run(attempt.tokens.clone());
        }
        if let Some(Prompt { messages, tokens: prompt }) = setup.prompt.take() {
            let (tokens, text) =
                (std::mem::take(&mut attempt.tokens), std::mem::take(&mut attempt.text));
            let exchange = Exchange { messages, prompt, tokens, text };
            setup.record.exchange(exchange, &attempt.decision);
        }
        setup.record.close(&attempt.decision, outcome, attempt.usage);
    }

    fn ending(&self, outcome: Outcome) -> Result<Output, ApiError> {
        let attempt = &self.attempt;
        let finish_reason = match outcome {
            Outcome::Stop if attempt.has_called() => FinishReason::ToolCalls,
            Outcome::Stop => FinishReason::Stop,
            Outcome::Length => FinishReason::Length,
            Outcome::ContentFilter => FinishReason::ContentFilter,
            Outcome::Error | Outcome::Cancelled | Outcome::Rejected => return Err(self.failure()),
        };
        let Setup { report, record, .. } = &self.setup;
        let scores =
            score_report(&attempt.decision, &attempt.projections, *report, record.attempts());
        let usage = attempt.usage.with_reasoning(attempt.decision.reasoning_tokens());
        let stop = attempt.stop_string.clone().filter(|_| finish_reason == FinishReason::Stop);
        Ok(Output::End(End { finish_reason, stop, usage, scores }))
    }

    fn failure(&self) -> ApiError {
        match self.attempt.decision.stop() {
            Some(Stop::Unscorable) => ApiError::unscorable(),
            _ => {
                ApiError::internal("The answer failed while it was written. Other requests go on.")
            }
        }
    }
}

impl Setup {
    fn attempt(&self, decision: Decision) -> Attempt {
        let (sections, reasoning) = (self.sections.clone(), self.reasoning.clone());
        Attempt::new(decision, sections, reasoning, self.call_reader())
    }

    fn call_reader(&self) -> Option<CallReader> {
        self.callables.as_ref().map(|callables| CallReader::new(Arc::clone(callables)))
    }
}

impl Drop for GuardedGeneration {
    fn drop(&mut self) {
        if !self.is_closed {
            self.close(Outcome::Cancelled);
        }
    }
}
