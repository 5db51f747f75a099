//! Choosing the next token from logits.

use super::event::{EngineError, TokenProbability};
use super::grammar::{Grammar, Stuck};
use super::request::Sampling;
use crate::kernel::vector;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::collections::HashMap;

/// One request's way of choosing, and what it has chosen so far.
#[derive(Debug)]
pub(crate) struct Sampler {
    sampling: Sampling,
    top: usize,
    random: StdRng,
    /// How often the response holds each token.
    counts: HashMap<u32, u32>,
    grammar: Option<Grammar>,
}

/// A chosen token.
#[derive(Debug, PartialEq)]
pub(crate) struct Choice {
    pub(crate) token: u32,
    pub(crate) logprob: f32,
    pub(crate) top: Vec<TokenProbability>,
}

impl Sampler {
    pub(crate) fn new(sampling: Sampling, top: usize, grammar: Option<Grammar>) -> Self {
        let random = sampling.seed.map_or_else(StdRng::from_os_rng, StdRng::seed_from_u64);
        Self { sampling, top, random, counts: HashMap::new(), grammar }
    }

    /// Whether the response is complete with the tokens chosen so far: nothing may follow.
    pub(crate) fn is_complete(&self) -> bool {
        self.grammar.as_ref().is_some_and(Grammar::is_complete)
    }

    /// Chooses a token; `ends` are those that end a response.
    pub(crate) fn choose(&mut self, logits: &[f32], ends: &[u32]) -> Result<Choice, EngineError> {
        let largest = vector::largest(logits);
        let norm = vector::log_sum_exp(logits, largest);
        if !norm.is_finite() {
            return Err(EngineError::NotFinite);
        }
        let token = self.pick(logits, largest)?.ok_or(EngineError::NotFinite)?;
        if let Some(grammar) = self.grammar.as_mut().filter(|_| !ends.contains(&token)) {
            grammar.push(token)?;
        }
        *self.counts.entry(token).or_default() += 1;
        let top = likeliest(logits, self.top);
        Ok(Choice {
            token,
            logprob: logits[token as usize] - norm,
            top: top
                .into_iter()
                .map(|(logit, id)| TokenProbability { id, logprob: logit - norm })
                .collect(),
        })
    }

    fn pick(&mut self, logits: &[f32], largest: f32) -> Result<Option<u32>, Stuck> {
        let Sampling { presence_penalty, frequency_penalty, .. } = self.sampling;
        if presence_penalty == 0.0 && frequency_penalty == 0.0 && self.grammar.is_none() {
            return Ok(self.pick_among(logits, largest));
        }
        let mut logits = logits.to_vec();
        if let Some(grammar) = &mut self.grammar {
            grammar.mask(&mut logits)?;
        }
        for (&token, &count) in &self.counts {
            #[allow(clippy::cast_precision_loss)]
            let penalty = presence_penalty + frequency_penalty * count as f32;
            logits[token as usize] -= penalty;
        }
        let largest = vector::largest(&logits);
        match largest == f32::NEG_INFINITY {
            true => Err(Stuck),
            false => Ok(self.pick_among(&logits, largest)),
        }
    }

    fn pick_among(&mut self, logits: &[f32], largest: f32) -> Option<u32> {
        let Sampling { temperature, top_p, top_k, min_p, .. } = self.sampling;
        let greedy = || {
            logits.iter().position(|&logit| logit == largest).and_then(|at| u32::try_from(at).ok())
        };
        // A temperature so low that the second likeliest token underflows is greedy too.
        if temperature < 1e-4 {
            return greedy();
        }
        let mut weights: Vec<f32> =
            logits.iter().map(|logit| (logit - largest) / temperature).collect();
        vector::exp_sum(&mut weights, 0.0);
        if top_k.is_none() && top_p >= 1.0 {
            // Nothing is ranked: no list of the whole vocabulary is made for it.
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
            keep_nucleus(&mut candidates, top_p);
        }
        self.draw(candidates.into_iter()).or_else(greedy)
    }

    /// One of these by weight; `None` where none weighs anything.
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

/// Keeps the fewest, likeliest candidates whose weights make up this share of all.
fn keep_nucleus(candidates: &mut Vec<(f32, u32)>, share: f32) {
    let total: f64 = candidates.iter().map(|&(weight, _)| f64::from(weight)).sum();
    // Most tokens weigh next to nothing: only those that can be in the nucleus are sorted.
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
fn likeliest(logits: &[f32], count: usize) -> Vec<(f32, u32)> {
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

/// Natural logarithm of one token's probability; `None` when the logits hold no number.
pub(crate) fn logprob(logits: &[f32], token: u32) -> Option<f32> {
    let norm = vector::log_sum_exp(logits, vector::largest(logits));
    norm.is_finite().then(|| logits[token as usize] - norm)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choose(sampling: &Sampling, logits: &[f32], draws: usize) -> Vec<u32> {
        let mut sampler = Sampler::new(Sampling { seed: Some(7), ..sampling.clone() }, 0, None);
        (0..draws).map(|_| sampler.choose(logits, &[]).unwrap().token).collect()
    }

    #[test]
    fn greedy_takes_the_largest_and_reports_the_models_own_probabilities() {
        let mut sampler =
            Sampler::new(Sampling { frequency_penalty: 2.0, ..Sampling::default() }, 2, None);
        let logits = [1.0, 3.0, 2.0];
        let choice = sampler.choose(&logits, &[]).unwrap();
        let norm = (1_f32.exp() + 2_f32.exp() + 3_f32.exp()).ln();
        assert_eq!(choice.token, 1);
        assert!((choice.logprob - (3.0 - norm)).abs() < 1e-5);
        assert_eq!(choice.top.iter().map(|top| top.id).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(
            sampler.choose(&logits, &[]).unwrap().token,
            2,
            "the penalty moves on to the next"
        );
    }

    #[test]
    fn samples_follow_the_distribution_and_the_seed() {
        let sampling = Sampling { temperature: 1.0, ..Sampling::default() };
        let logits = [0.5_f32.ln(), 0.3_f32.ln(), 0.2_f32.ln()];
        let tokens = choose(&sampling, &logits, 20_000);
        assert_eq!(tokens, choose(&sampling, &logits, 20_000));
        for (token, share) in [(0, 0.5), (1, 0.3), (2, 0.2)] {
            let found = tokens.iter().filter(|&&t| t == token).count() as f64 / 20_000.0;
            assert!((found - share).abs() < 0.02, "{token}: {found}");
        }
    }

    #[test]
    fn cuts_keep_only_likely_tokens() {
        let hot = Sampling { temperature: 1.0, ..Sampling::default() };
        let logits: Vec<f32> = [0.4_f32, 0.3, 0.2, 0.1].map(f32::ln).into();
        let most = |sampling: Sampling| choose(&sampling, &logits, 500).into_iter().max().unwrap();
        assert_eq!(most(hot.clone()), 3);
        assert_eq!(most(Sampling { top_k: Some(2), ..hot.clone() }), 1);
        assert_eq!(most(Sampling { top_p: 0.65, ..hot.clone() }), 1);
        assert_eq!(most(Sampling { top_p: 0.01, ..hot.clone() }), 0);
        assert_eq!(most(Sampling { min_p: 0.45, ..hot }), 2);
    }

    #[test]
    fn what_is_no_number_is_refused() {
        let mut sampler = Sampler::new(Sampling::default(), 0, None);
        assert_eq!(sampler.choose(&[f32::NAN; 16], &[]), Err(EngineError::NotFinite));
        assert_eq!(sampler.choose(&[f32::INFINITY; 16], &[]), Err(EngineError::NotFinite));
    }
}
