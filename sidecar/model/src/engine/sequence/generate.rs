//! Writing a response.

use crate::engine::error::EngineError;
use crate::engine::event::{End, Event, FinishReason, Prefill, Token};
use crate::engine::request::Sampling;
use crate::engine::sampler::{SampledToken, Sampler};
use crate::engine::stop::{StopFilter, StopMatch};
use crate::grammar::Grammar;
use crate::model::Model;
use tokio::sync::mpsc;

pub(super) struct GenerateTask {
    pub(super) sampler: Sampler,
    pub(super) filter: StopFilter,
    /// The last token that was sampled, which is computed next.
    pub(super) sampled: Option<SampledToken>,
    /// Prompt tokens that came from the prefix cache.
    pub(super) cached: usize,
    max_tokens: usize,
    events: mpsc::Sender<Event>,
}

/// How a response ends.
#[derive(Debug)]
pub(super) struct Ending {
    pub(super) reason: FinishReason,
    /// The text that was held back.
    pub(super) text: String,
    /// The stop string that ended it.
    pub(super) stop: Option<String>,
}

impl Ending {
    pub(super) fn of(reason: FinishReason, text: String) -> Self {
        Self { reason, text, stop: None }
    }
}

impl GenerateTask {
    pub(super) fn new(
        sampling: Sampling,
        top_logprobs: usize,
        grammar: Option<Grammar>,
        stop: &[String],
        prompt: &[u32],
        max_tokens: usize,
        events: mpsc::Sender<Event>,
    ) -> Self {
        Self {
            sampler: Sampler::new(sampling, top_logprobs, grammar, prompt),
            filter: StopFilter::new(stop),
            sampled: None,
            cached: 0,
            max_tokens,
            events,
        }
    }

    /// Whether nothing is to be written.
    pub(super) fn only_reads(&self) -> bool {
        self.max_tokens == 0
    }

    /// Whether the caller has gone away.
    pub(super) fn is_cancelled(&self) -> bool {
        self.events.is_closed()
    }

    pub(super) fn send_prefill(&self, prefill: Prefill) {
        self.send(Event::Prefill(prefill));
    }

    pub(super) fn send_end(&self, end: End) {
        self.send(Event::End(end));
    }

    pub(super) fn send_error(&self, error: EngineError) {
        self.send(Event::Failed(error));
    }

    fn send(&self, event: Event) {
        // The channel has room for all events of the request; sending fails only if the caller has
        // gone away.
        drop(self.events.try_send(event));
    }

    /// Reports the token that was computed, number `response_tokens` of the response. If the
    /// response ends with it, returns how.
    pub(super) fn on_token_computed(
        &mut self,
        model: &Model,
        projections: Vec<f32>,
        response_tokens: usize,
    ) -> Option<Ending> {
        let Some(SampledToken { id, logprob, top }) = self.sampled.take() else {
            return Some(self.stopped());
        };
        let found = match self.sampler.is_too_short(response_tokens) {
            true => self.filter.pass(model.tokenizer(), id),
            false => self.filter.push(model.tokenizer(), id),
        };
        let (text, stop) = match found {
            StopMatch::None(text) => (text, None),
            StopMatch::Found { text, stop } => (text, Some(stop)),
        };
        self.send(Event::Token(Token { id, text, logprob, top, projections }));
        if let Some(stop) = stop {
            let reason = FinishReason::Stop;
            return Some(Ending { reason, text: String::new(), stop: Some(stop) });
        }
        if self.sampler.is_complete() {
            return Some(self.stopped());
        }
        let reason = FinishReason::Length;
        (response_tokens >= self.max_tokens).then(|| Ending::of(reason, self.filter.finish()))
    }

    /// The response ends without a stop string.
    pub(super) fn stopped(&mut self) -> Ending {
        Ending::of(FinishReason::Stop, self.filter.finish())
    }
}
