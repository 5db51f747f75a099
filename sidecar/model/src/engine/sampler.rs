//! Sampling the next token from logits.

mod adjust;

use super::error::EngineError;
use super::event::TokenProbability;
use super::request::Sampling;
use crate::grammar::{Grammar, NoValidToken};
use crate::kernel::vector;
use adjust::Written;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// One request's sampler, with the tokens that it has chosen so far.
#[derive(Debug)]
pub(super) struct Sampler {
    sampling: Sampling,
    top_logprobs: usize,
    random: StdRng,
    written: Written,
    grammar: Option<Grammar>,
}

/// A token that was chosen.
#[derive(Debug, PartialEq)]
pub(super) struct SampledToken {
    pub(super) id: u32,
    /// Natural logarithm of its probability, before temperature, penalties and truncation.
    pub(super) logprob: f32,
    /// The likeliest tokens, likeliest first.
    pub(super) top: Vec<TokenProbability>,
}

impl Sampler {
    /// `top_logprobs` is how many alternatives are reported with each token.
    pub(super) fn new(
        sampling: Sampling,
        top_logprobs: usize,
        grammar: Option<Grammar>,
        prompt: &[u32],
    ) -> Self {
        let random = sampling.seed.map_or_else(StdRng::from_os_rng, StdRng::seed_from_u64);
        let written = Written::new(&sampling, prompt);
        Self { sampling, top_logprobs, random, written, grammar }
    }

    /// Whether this token ends a response; `end_tokens` are the model's own that do.
    pub(super) fn is_end(&self, token: u32, end_tokens: &[u32]) -> bool {
        end_tokens.contains(&token) || self.sampling.stop_tokens.contains(&token)
    }

    /// Whether so many tokens are too few for a response.
    pub(super) fn is_too_short(&self, tokens: usize) -> bool {
        tokens <= self.sampling.min_tokens
    }

    /// Whether the grammar lets nothing follow the tokens chosen so far.
    pub(super) fn is_complete(&self) -> bool {
        self.grammar.as_ref().is_some_and(Grammar::is_complete)
    }

    /// Chooses a token; `end_tokens` are the model's own that end a response.
    pub(super) fn sample(
        &mut self,
        logits: &[f32],
        end_tokens: &[u32],
    ) -> Result<SampledToken, EngineError> {
        let max = vector::max(logits);
        let norm = vector::log_sum_exp(logits, max);
        if !norm.is_finite() {
            return Err(EngineError::NotFinite);
        }
        let id = self.pick(logits, max, end_tokens)?.ok_or(EngineError::NotFinite)?;
        let ends = self.is_end(id, end_tokens);
        if let Some(grammar) = self.grammar.as_mut().filter(|_| !ends) {
            grammar.push(id)?;
        }
        self.written.push(id);
        let top = top_logits(logits, self.top_logprobs)
            .into_iter()
            .map(|(logit, id)| TokenProbability { id, logprob: logit - norm })
            .collect();
        Ok(SampledToken { id, logprob: logits[id as usize] - norm, top })
    }

    /// Chooses among the tokens that may come next, with all that the request changes of their
    /// logits; `None` where no logit is finite. `max` is the largest logit.
    fn pick(
        &mut self,
        logits: &[f32],
        max: f32,
        end_tokens: &[u32],
    ) -> Result<Option<u32>, NoValidToken> {
        if self.grammar.is_none() && !self.written.changes(&self.sampling) {
            return Ok(self.pick_unmasked(logits, max));
        }
        let mut logits = logits.to_vec();
        if let Some(grammar) = &mut self.grammar {
            grammar.mask(&mut logits)?;
        }
        self.written.adjust(&self.sampling, &mut logits, end_tokens);
        let max = vector::max(&logits);
        match max == f32::NEG_INFINITY {
            true => Err(NoValidToken),
            false => Ok(self.pick_unmasked(&logits, max)),
        }
    }

    /// Chooses among all tokens whose logits are not −∞.
    fn pick_unmasked(&mut self, logits: &[f32], max: f32) -> Option<u32> {
        let Sampling { temperature, top_p, top_k, min_p, .. } = self.sampling;
        let greedy =
            || logits.iter().position(|&logit| logit == max).and_then(|at| u32::try_from(at).ok());
        // At so low a temperature the second likeliest token underflows: that is greedy, too.
        if temperature < 1e-4 {
            return greedy();
        }
        let mut weights: Vec<f32> =
            logits.iter().map(|logit| (logit - max) / temperature).collect();
        vector::exp_sum(&mut weights, 0.0);
        if top_k.is_none() && top_p >= 1.0 {
            // Nothing needs ranking, so no list of the whole vocabulary is made.
            let kept = weights.iter().copied().zip(0..).filter(|&(weight, _)| weight >= min_p);
            return self.draw(kept).or_else(greedy);
        }
        let mut candidates: Vec<(f32, u32)> = weights
            .into_iter()
            .zip(0..)
            .filter(|&(weight, _)| weight > 0.0 && weight >= min_p)
            .collect();
        if let Some(k) = top_k.filter(|&k| k < candidates.len()) {
            candidates
                .select_nth_unstable_by(k - 1, |a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
            candidates.truncate(k);
        }
        if top_p < 1.0 {
            truncate_to_nucleus(&mut candidates, top_p);
        }
        self.draw(candidates.into_iter()).or_else(greedy)
    }

    /// Draws one of these (weight, token) by weight; `None` where all weights are 0.
    fn draw(&mut self, candidates: impl Iterator<Item = (f32, u32)> + Clone) -> Option<u32> {
        let total: f64 = candidates.clone().map(|(weight, _)| f64::from(weight)).sum();
        let mut left = self.random.random::<f64>() * total;
        let mut last = None;
        for (weight, token) in candidates.filter(|&(weight, _)| weight > 0.0) {
            left -= f64::from(weight);
            last = Some(token);
            if left < 0.0 {
                break;
            }
        }
        last
    }
}

/// Keeps the smallest set of likeliest candidates whose weights reach this share of the total
/// (nucleus sampling, arXiv 1904.09751).
fn truncate_to_nucleus(candidates: &mut Vec<(f32, u32)>, share: f32) {
    let total: f64 = candidates.iter().map(|&(weight, _)| f64::from(weight)).sum();
    // Most weights are tiny: only candidates that can be in the nucleus are sorted.
    #[allow(clippy::cast_precision_loss)]
    let least = (1.0 - f64::from(share)) * total / candidates.len() as f64;
    let (mut likely, rest): (Vec<_>, Vec<_>) =
        candidates.drain(..).partition(|&(weight, _)| f64::from(weight) >= least);
    likely.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    let mut sum = 0.0;
    let end = likely.iter().position(|&(weight, _)| {
        sum += f64::from(weight);
        sum >= f64::from(share) * total
    });
    match end {
        Some(end) => likely.truncate(end + 1),
        None => likely.extend(rest),
    }
    *candidates = likely;
}

/// The `count` largest logits with their tokens, largest first.
fn top_logits(logits: &[f32], count: usize) -> Vec<(f32, u32)> {
    if count == 0 {
        return Vec::new();
    }
    let order = |a: &(f32, u32), b: &(f32, u32)| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1));
    let mut all: Vec<(f32, u32)> = logits.iter().copied().zip(0..).collect();
    if count < all.len() {
        all.select_nth_unstable_by(count - 1, order);
        all.truncate(count);
    }
    all.sort_unstable_by(order);
    all
}

/// Natural logarithm of one token's probability; `None` where the logits are not finite.
pub(super) fn logprob(logits: &[f32], token: u32) -> Option<f32> {
    let norm = vector::log_sum_exp(logits, vector::max(logits));
    norm.is_finite().then(|| logits[token as usize] - norm)
}

#[cfg(test)]
mod tests;
