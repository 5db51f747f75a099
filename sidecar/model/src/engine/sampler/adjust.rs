//! What a request changes of the logits before a token is chosen: bias, penalties, and no end too
//! early.

use crate::engine::request::Sampling;
use std::collections::{HashMap, HashSet};

/// What was written so far, as far as it counts for penalties.
#[derive(Debug)]
pub(super) struct Written {
    /// The prompt's tokens, where they count.
    prompt: HashSet<u32>,
    /// How often the response holds each token.
    counts: HashMap<u32, u32>,
    tokens: usize,
}

impl Written {
    pub(super) fn new(sampling: &Sampling, prompt: &[u32]) -> Self {
        let counted = if sampling.repetition_penalty == 1.0 { &[] } else { prompt };
        Self { prompt: counted.iter().copied().collect(), counts: HashMap::new(), tokens: 0 }
    }

    /// The response goes on with this token.
    pub(super) fn push(&mut self, token: u32) {
        *self.counts.entry(token).or_default() += 1;
        self.tokens += 1;
    }

    /// Whether any logit is changed for the next token.
    pub(super) fn changes(&self, sampling: &Sampling) -> bool {
        let Sampling { presence_penalty, frequency_penalty, repetition_penalty, .. } = *sampling;
        presence_penalty != 0.0
            || frequency_penalty != 0.0
            || repetition_penalty != 1.0
            || !sampling.logit_bias.is_empty()
            || sampling.ignore_end
            || self.tokens < sampling.min_tokens
    }

    /// Changes the logits, in vLLM's order.
    pub(super) fn adjust(&self, sampling: &Sampling, logits: &mut [f32], end_tokens: &[u32]) {
        for &(token, bias) in &sampling.logit_bias {
            if let Some(logit) = logits.get_mut(token as usize) {
                *logit += bias;
            }
        }
        self.bar_ends(sampling, logits, end_tokens);
        let repetition = sampling.repetition_penalty;
        if repetition != 1.0 {
            let in_response = self.counts.keys().filter(|token| !self.prompt.contains(token));
            for &token in self.prompt.iter().chain(in_response) {
                if let Some(logit) = logits.get_mut(token as usize) {
                    *logit = if *logit > 0.0 { *logit / repetition } else { *logit * repetition };
                }
            }
        }
        for (&token, &count) in &self.counts {
            #[allow(clippy::cast_precision_loss)]
            let penalty = sampling.presence_penalty + sampling.frequency_penalty * count as f32;
            logits[token as usize] -= penalty;
        }
    }

    /// Takes away the tokens that must not end the response yet, unless nothing else is left: a
    /// format may be complete.
    fn bar_ends(&self, sampling: &Sampling, logits: &mut [f32], end_tokens: &[u32]) {
        let stops = sampling.stop_tokens.as_slice();
        let is_early = self.tokens < sampling.min_tokens;
        let barred: Vec<u32> = match (is_early, sampling.ignore_end) {
            (true, _) => [end_tokens, stops].concat(),
            (false, true) => {
                end_tokens.iter().copied().filter(|token| !stops.contains(token)).collect()
            }
            (false, false) => return,
        };
        let is_left =
            |(token, logit): (u32, &f32)| *logit > f32::NEG_INFINITY && !barred.contains(&token);
        if !(0..).zip(logits.iter()).any(is_left) {
            return;
        }
        for token in barred {
            if let Some(logit) = logits.get_mut(token as usize) {
                *logit = f32::NEG_INFINITY;
            }
        }
    }
}
