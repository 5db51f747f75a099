//! Sums and means of hidden states, from which persona vectors are extracted.

use crate::kernel::vector;
use std::sync::Arc;

/// Mean hidden states, `[layer][hidden_size]` with layers 0..=L, read before any intervention at
/// that layer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MeanStates {
    /// Mean over response tokens; zeros where the response is empty.
    pub response_mean: Vec<Vec<f32>>,
    /// Mean over prompt tokens; empty where only the response's states were asked for.
    pub prompt_mean: Vec<Vec<f32>>,
    /// Hidden states at the last prompt token; empty where only the response's were asked for.
    pub prompt_last: Vec<Vec<f32>>,
    /// Mean over prompt tokens of what the last norm makes of the states after the last block,
    /// `[hidden_size]`; empty where only the response's were asked for.
    pub prompt_normed: Vec<f32>,
}

/// The norm behind the last block.
#[derive(Clone, Debug)]
pub(crate) struct LastNorm {
    pub(crate) factors: Arc<[f32]>,
    pub(crate) epsilon: f32,
}

impl MeanStates {
    /// Whether every value is finite.
    pub(crate) fn is_finite(&self) -> bool {
        let states = [&self.response_mean, &self.prompt_mean, &self.prompt_last];
        let mut all = states.into_iter().flatten().flatten().chain(&self.prompt_normed);
        all.all(|value| value.is_finite())
    }
}

/// Sums of one sequence's hidden states at every layer, `[layer][hidden_size]`.
#[derive(Debug)]
pub(crate) struct StateSums {
    response: Vec<Vec<f64>>,
    prompt: Vec<Vec<f64>>,
    prompt_last: Vec<Vec<f32>>,
    /// Of the prompt, behind the last norm; `None` where the prompt's states are not wanted.
    normed: Option<NormedSum>,
}

/// A sum of normed states.
#[derive(Debug)]
struct NormedSum {
    norm: LastNorm,
    /// One normed state.
    one: Vec<f32>,
    sum: Vec<f64>,
}

impl NormedSum {
    fn new(norm: LastNorm, hidden_size: usize) -> Self {
        Self { norm, one: vec![0.0; hidden_size], sum: vec![0.0; hidden_size] }
    }

    fn add(&mut self, state: &[f32]) {
        vector::rms_norm(state, &self.norm.factors, self.norm.epsilon, &mut self.one);
        add(&mut self.sum, &self.one);
    }
}

fn add(sum: &mut [f64], values: &[f32]) {
    sum.iter_mut().zip(values).for_each(|(sum, value)| *sum += f64::from(*value));
}

impl StateSums {
    /// For a model of `layers` blocks. `last_norm` is `None` where the prompt's states are not
    /// wanted.
    pub(crate) fn new(layers: usize, hidden_size: usize, last_norm: Option<LastNorm>) -> Self {
        let sums = vec![vec![0.0; hidden_size]; layers + 1];
        Self {
            response: sums.clone(),
            prompt: sums,
            prompt_last: vec![vec![0.0; hidden_size]; layers + 1],
            normed: last_norm.map(|norm| NormedSum::new(norm, hidden_size)),
        }
    }

    /// Adds one token's hidden state; `position` counts from the start of the prompt.
    pub(crate) fn add(
        &mut self,
        layer: usize,
        position: usize,
        prompt_tokens: usize,
        state: &[f32],
    ) {
        let is_prompt = position < prompt_tokens;
        let sums = if is_prompt { &mut self.prompt } else { &mut self.response };
        add(&mut sums[layer], state);
        if let Some(normed) = self.normed.as_mut().filter(|_| is_prompt && layer + 1 == sums.len())
        {
            normed.add(state);
        }
        if position + 1 == prompt_tokens {
            self.prompt_last[layer].copy_from_slice(state);
        }
    }

    /// Means over as many tokens as were added. `prompt_tokens` is `None` where the prompt's states
    /// are not wanted, because some of its tokens came from the cache.
    pub(crate) fn into_means(
        self,
        prompt_tokens: Option<usize>,
        response_tokens: usize,
    ) -> MeanStates {
        let response_mean = mean(&self.response, response_tokens);
        match prompt_tokens {
            None => MeanStates { response_mean, ..MeanStates::default() },
            Some(prompt_tokens) => MeanStates {
                response_mean,
                prompt_mean: mean(&self.prompt, prompt_tokens),
                prompt_last: self.prompt_last,
                prompt_normed: mean(self.normed.map(|normed| normed.sum).as_slice(), prompt_tokens)
                    .pop()
                    .unwrap_or_default(),
            },
        }
    }
}

#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)]
fn mean(sums: &[Vec<f64>], count: usize) -> Vec<Vec<f32>> {
    let count = count.max(1) as f64;
    sums.iter().map(|sums| sums.iter().map(|sum| (sum / count) as f32).collect()).collect()
}
