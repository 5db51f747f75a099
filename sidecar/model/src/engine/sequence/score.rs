//! Reading a given response.

use crate::engine::error::EngineError;
use crate::engine::sampler::logprob;
use crate::engine::score::Score;
use crate::residual::MeanStates;
use tokio::sync::oneshot;

pub(super) struct ScoreTask {
    /// The result so far.
    pub(super) score: Score,
    pub(super) wants_logprobs: bool,
    /// Taken when the result is sent.
    result: Option<oneshot::Sender<Result<Score, EngineError>>>,
}

impl ScoreTask {
    pub(super) fn new(
        wants_logprobs: bool,
        result: oneshot::Sender<Result<Score, EngineError>>,
    ) -> Self {
        Self { score: Score::default(), wants_logprobs, result: Some(result) }
    }

    /// Whether the caller has gone away.
    pub(super) fn is_cancelled(&self) -> bool {
        self.result.as_ref().is_none_or(oneshot::Sender::is_closed)
    }

    /// Adds the probability of the next response token.
    pub(super) fn push_logprob(&mut self, logits: &[f32], token: u32) -> Result<(), EngineError> {
        self.score.logprobs.push(logprob(logits, token).ok_or(EngineError::NotFinite)?);
        Ok(())
    }

    /// Whether the logprobs of all response tokens are known, or not wanted.
    pub(super) fn has_logprobs(&self, response_tokens: usize) -> bool {
        !self.wants_logprobs || self.score.logprobs.len() == response_tokens
    }

    /// Sends the score.
    pub(super) fn finish(&mut self, states: Option<MeanStates>) {
        let score = Score { states, ..std::mem::take(&mut self.score) };
        self.send(Ok(score));
    }

    /// Sends the result, unless one was sent before.
    pub(super) fn send(&mut self, result: Result<Score, EngineError>) {
        if let Some(sender) = self.result.take() {
            drop(sender.send(result));
        }
    }
}
