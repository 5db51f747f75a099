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
    /// response ends with it, returns why, and the text that was held back.
    pub(super) fn on_token_computed(
        &mut self,
        model: &Model,
        projections: Vec<f32>,
        response_tokens: usize,
    ) -> Option<(FinishReason, String)> {
        let Some(SampledToken { id, logprob, top }) = self.sampled.take() else {
            return Some((FinishReason::Stop, self.filter.finish()));
        };
        let found = match self.sampler.is_too_short(response_tokens) {
            true => self.filter.pass(model.tokenizer(), id),
            false => self.filter.push(model.tokenizer(), id),
        };
        let (text, is_stopped) = match found {
            StopMatch::None(text) => (text, false),
            StopMatch::Found(text) => (text, true),
        };
        self.send(Event::Token(Token { id, text, logprob, top, projections }));
        if is_stopped {
            return Some((FinishReason::Stop, String::new()));
        }
        if self.sampler.is_complete() {
            return Some((FinishReason::Stop, self.filter.finish()));
        }
        (response_tokens >= self.max_tokens).then(|| (FinishReason::Length, self.filter.finish()))
    }
}
