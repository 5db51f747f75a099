//! The result of reading a given response.

use super::SubmitError;
use super::event::EngineError;

/// What a teacher-forced pass read.
#[derive(Clone, Debug, PartialEq)]
pub struct Score {
    /// One value for each probe at the last prompt token (`prompt_last`).
    pub prompt: Vec<f32>,
    /// `response[token][probe]`: one list for each response token.
    pub response: Vec<Vec<f32>>,
    /// Natural logarithm of the probability of each response token, given all before it. Empty
    /// where the request left them out.
    pub logprobs: Vec<f32>,
    /// Mean hidden states, where the request asked for them.
    pub states: Option<MeanStates>,
}

impl Score {
    /// Natural logarithm of the probability of the whole response, given the prompt. 0 for an empty
    /// one.
    #[must_use]
    pub fn log_likelihood(&self) -> f64 {
        self.logprobs.iter().map(|&value| f64::from(value)).sum()
    }

    /// Mean projection over response tokens (`response_avg`), one value for each probe; `None` for
    /// an empty response.
    #[must_use]
    pub fn response_avg(&self) -> Option<Vec<f32>> {
        let first = self.response.first()?;
        #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)]
        let mean = |probe: usize| {
            (self.response.iter().map(|token| f64::from(token[probe])).sum::<f64>()
                / self.response.len() as f64) as f32
        };
        Some((0..first.len()).map(mean).collect())
    }
}

/// Hidden states, `[layer][hidden]` with layers 0..=L, read before any intervention at that layer.
#[derive(Clone, Debug, PartialEq)]
pub struct MeanStates {
    /// Mean over response tokens; zeros where the response is empty.
    pub response_mean: Vec<Vec<f32>>,
    /// Mean over prompt tokens. Empty, as `prompt_last`, where only the response's were asked for.
    pub prompt_mean: Vec<Vec<f32>>,
    /// At the last prompt token.
    pub prompt_last: Vec<Vec<f32>>,
}

/// Why a score was not computed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ScoreError {
    /// The request was not taken.
    #[error(transparent)]
    Submit(#[from] SubmitError),
    /// The request failed later.
    #[error(transparent)]
    Engine(#[from] EngineError),
}
