//! The result of reading a given response.

use crate::residual::MeanStates;

/// What a teacher-forced pass read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Score {
    /// One projection for each tap, at the last prompt token (`prompt_last`).
    pub prompt: Vec<f32>,
    /// Projections at each response token, `[token][tap]`.
    pub response: Vec<Vec<f32>>,
    /// Natural logarithm of the probability of each response token, given all before it. Empty
    /// where the request left them out.
    pub logprobs: Vec<f32>,
    /// Mean hidden states, where the request asked for them.
    pub states: Option<MeanStates>,
}

impl Score {
    /// Natural logarithm of the probability of the whole response, given the prompt; 0 for an empty
    /// response.
    #[must_use]
    pub fn log_likelihood(&self) -> f64 {
        self.logprobs.iter().map(|&value| f64::from(value)).sum()
    }

    /// Mean projection over response tokens (`response_avg`), one value for each tap; `None` for an
    /// empty response.
    #[must_use]
    pub fn response_avg(&self) -> Option<Vec<f32>> {
        let first = self.response.first()?;
        #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)]
        let mean = |tap: usize| {
            (self.response.iter().map(|token| f64::from(token[tap])).sum::<f64>()
                / self.response.len() as f64) as f32
        };
        Some((0..first.len()).map(mean).collect())
    }
}
