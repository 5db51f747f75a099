//! Sums and means of hidden states, from which persona vectors are extracted.

/// Mean hidden states, `[layer][hidden_size]` with layers 0..=L, read before any intervention at
/// that layer.
#[derive(Clone, Debug, PartialEq)]
pub struct MeanStates {
    /// Mean over response tokens; zeros where the response is empty.
    pub response_mean: Vec<Vec<f32>>,
    /// Mean over prompt tokens; empty where only the response's states were asked for.
    pub prompt_mean: Vec<Vec<f32>>,
    /// Hidden states at the last prompt token; empty where only the response's were asked for.
    pub prompt_last: Vec<Vec<f32>>,
}

impl MeanStates {
    /// Whether every value is finite.
    pub(crate) fn is_finite(&self) -> bool {
        let states = [&self.response_mean, &self.prompt_mean, &self.prompt_last];
        states.into_iter().flatten().flatten().all(|value| value.is_finite())
    }
}

/// Sums of one sequence's hidden states at every layer, `[layer][hidden_size]`.
#[derive(Debug)]
pub(crate) struct StateSums {
    response: Vec<Vec<f64>>,
    prompt: Vec<Vec<f64>>,
    prompt_last: Vec<Vec<f32>>,
}

impl StateSums {
    /// For a model of `layers` blocks.
    pub(crate) fn new(layers: usize, hidden_size: usize) -> Self {
        let sums = vec![vec![0.0; hidden_size]; layers + 1];
        Self {
            response: sums.clone(),
            prompt: sums,
            prompt_last: vec![vec![0.0; hidden_size]; layers + 1],
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
        let sums = if position < prompt_tokens { &mut self.prompt } else { &mut self.response };
        for (sum, value) in sums[layer].iter_mut().zip(state) {
            *sum += f64::from(*value);
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
            None => MeanStates { response_mean, prompt_mean: Vec::new(), prompt_last: Vec::new() },
            Some(prompt_tokens) => MeanStates {
                response_mean,
                prompt_mean: mean(&self.prompt, prompt_tokens),
                prompt_last: self.prompt_last,
            },
        }
    }
}

#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)]
fn mean(sums: &[Vec<f64>], count: usize) -> Vec<Vec<f32>> {
    let count = count.max(1) as f64;
    sums.iter().map(|sums| sums.iter().map(|sum| (sum / count) as f32).collect()).collect()
}
