//! Teacher-forced passes over what another server wrote.

use super::transcript::Transcript;
use crate::runtime::ActiveModel;
use personaguard_guard::UnscoredReason;
use personaguard_model::{EngineError, ScoreError, ScoreRequest, SubmitError};
use std::sync::Arc;
use std::time::Duration;

/// Scores one answer. Passes over a growing conversation cost its new tokens only: the engine keeps
/// what it computed.
#[derive(Debug)]
pub(super) struct Scorer {
    pub(super) active: Arc<ActiveModel>,
    /// Tokens of each prompt: one, but for `completions` with several.
    pub(super) prompts: Vec<Vec<u32>>,
    /// Choices for each prompt.
    pub(super) per_prompt: usize,
    /// Longest time for one pass.
    pub(super) deadline: Duration,
}

impl Scorer {
    /// Makes the next pass that is due, if one is. Cancel-safe: a pass that was not finished
    /// changed nothing.
    pub(super) async fn step(&self, transcript: &mut Transcript, force: bool) -> bool {
        let Some(due) = transcript.due(force) else { return false };
        let Some((before, text)) = transcript.unscored(due) else { return false };
        let tokenizer = self.active.engine.model().tokenizer();
        let tokens = if before.is_empty() {
            tokenizer.encode(text)
        } else {
            tokenizer.encode_continuation(text)
        };
        let prompt = &self.prompts[due.choice / self.per_prompt % self.prompts.len()];
        let request = ScoreRequest {
            prompt: [prompt, before].concat(),
            response: tokens.clone(),
            taps: Arc::clone(&self.active.taps),
            skip_logprobs: true,
            ..ScoreRequest::default()
        };
        let prompt_tokens = prompt.len();
        match tokio::time::timeout(self.deadline, self.active.engine.score(request)).await {
            Ok(Ok(score)) => {
                let mut text = tokenizer.decode_stream();
                let bytes: Vec<usize> =
                    tokens.iter().map(|token| text.push(*token).len()).collect();
                transcript.scored(due, prompt_tokens, &tokens, &bytes, &score);
            }
            Ok(Err(error)) => transcript.fail_choice(due.choice, fault(&error)),
            Err(_) => transcript.fail_choice(due.choice, UnscoredReason::Deadline),
        }
        true
    }
}

fn fault(error: &ScoreError) -> UnscoredReason {
    match error {
        ScoreError::Submit(SubmitError::QueueFull { .. }) => UnscoredReason::QueueFull,
        ScoreError::Submit(SubmitError::ContextTooLong { .. }) => UnscoredReason::TooLong,
        ScoreError::Engine(EngineError::NotFinite) => UnscoredReason::NotFinite,
        ScoreError::Submit(SubmitError::EmptyPrompt) => UnscoredReason::NotUnderstood,
        error => {
            tracing::error!(%error, "the engine failed to score an answer");
            UnscoredReason::EngineFailed
        }
    }
}
