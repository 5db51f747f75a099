//! Teacher-forced passes over what another server wrote.

use super::transcript::{Due, Transcript};
use crate::runtime::ActiveModel;
use futures::{StreamExt as _, stream};
use personaguard_guard::UnscoredReason;
use personaguard_model::{EngineError, Score, ScoreError, ScoreRequest, SubmitError, Tokenizer};
use std::sync::Arc;
use std::time::Duration;

/// Tokens of one pass over text at most. A long text takes several, each with a deadline of its
/// own: it neither keeps the passes of others waiting nor misses its deadline for its length.
const PASS_TOKENS: usize = 128;

/// Scores one answer. Passes over a growing conversation cost its new tokens only: the engine keeps
/// what it computed.
#[derive(Debug)]
pub(super) struct PassScorer {
    pub(super) active: Arc<ActiveModel>,
    /// Tokens of each prompt: one, but for `completions` with several.
    pub(super) prompts: Vec<Vec<u32>>,
    /// Choices for each prompt.
    pub(super) per_prompt: usize,
    /// Longest time for one piece of a pass over text ([`PIECE`]). The pass over the prompt has
    /// none: it takes as long as the prompt is.
    pub(super) deadline: Duration,
}

/// Passes of one answer that are made at the same time: a client chooses how many choices there
/// are, and these must not fill the engine's queue.
const ALONGSIDE: usize = 4;

/// Tokens that the deadline is meant for. A client chooses how long an answer is that comes in one
/// piece, and whether the engine still knows its prompt.
const PIECE: usize = 256;

/// A pass that ended.
struct Pass {
    due: Due,
    tokens: Vec<u32>,
    /// Tokens that were due too, and the byte that those which were read end at.
    left: Option<(Vec<u32>, usize)>,
    /// The tokens that the server gave are not those of its text.
    is_distrusted: bool,
    result: Result<Score, UnscoredReason>,
}

impl PassScorer {
    /// Makes the passes that are due, for several choices together. False where none is.
    /// Cancel-safe: passes that were not finished changed nothing.
    pub(super) async fn step(&self, transcript: &mut Transcript, force: bool) -> bool {
        let due = transcript.due(force);
        if due.is_empty() {
            return false;
        }
        let passes = due.into_iter().filter_map(|due| {
            let (before, text) = transcript.unscored(due)?;
            let given = transcript.given(due).map(<[u32]>::to_vec);
            Some(self.pass(due, before.to_vec(), text.to_owned(), given))
        });
        let passes = stream::iter(passes.collect::<Vec<_>>()).buffer_unordered(ALONGSIDE);
        for Pass { due, tokens, left, is_distrusted, result } in passes.collect::<Vec<_>>().await {
            if is_distrusted {
                transcript.distrust(due);
            }
            match result {
                Ok(score) => {
                    let mut text = self.active.engine.model().tokenizer().decode_stream();
                    let bytes: Vec<usize> =
                        tokens.iter().map(|token| text.push(*token).len()).collect();
                    let prompt_tokens = self.prompt(due).len();
                    let Some((left, read)) = left else {
                        transcript.scored(due, prompt_tokens, &tokens, &bytes, &score);
                        continue;
                    };
                    let to = due.to - transcript.unscored(due).map_or(0, |(_, text)| text.len());
                    let read = Due { to: to + read, ..due };
                    transcript.scored(read, prompt_tokens, &tokens, &bytes, &score);
                    transcript.leave(due, left);
                }
                Err(reason) => transcript.fail_choice(due.choice, reason),
            }
        }
        true
    }

    /// Tokens of all prompts.
    pub(super) fn prompt_tokens(&self) -> usize {
        self.prompts.iter().map(Vec::len).sum()
    }

    fn prompt(&self, due: Due) -> &[u32] {
        &self.prompts[due.choice / self.per_prompt % self.prompts.len()]
    }

    async fn pass(
        &self,
        due: Due,
        before: Vec<u32>,
        text: String,
        given: Option<Vec<u32>>,
    ) -> Pass {
        let tokenizer = self.active.engine.model().tokenizer();
        let spelled = given.map(|given| spelling(tokenizer, given, &text));
        let is_distrusted = spelled == Some(None);
        let mut tokens = match spelled.flatten() {
            Some(tokens) => tokens,
            None if before.is_empty() => tokenizer.encode(&text),
            None => tokenizer.encode_continuation(&text),
        };
        let all = self.prompt(due).len() + before.len() + tokens.len();
        // What does not fit as a whole is refused as a whole, before anything of it is read.
        let left = (tokens.len() > PASS_TOKENS && all <= self.active.engine.context_length())
            .then(|| first_of(tokenizer, &tokens, &text))
            .flatten()
            .map(|(count, bytes)| (tokens.split_off(count), bytes));
        let request = ScoreRequest {
            prompt: [self.prompt(due), &before].concat(),
            response: tokens.clone(),
            taps: Arc::clone(&self.active.taps),
            skip_logprobs: true,
            is_background: due.is_prompt(),
            ..ScoreRequest::default()
        };
        let deadline = deadline(self.deadline, request.prompt.len() + tokens.len());
        let score = self.active.engine.score(request);
        let score = if due.is_prompt() {
            Some(score.await)
        } else if deadline.is_zero() {
            // A timeout looks at the pass first, which may be over by then.
            None
        } else {
            tokio::time::timeout(deadline, score).await.ok()
        };
        let result = match score {
            Some(score) => score.map_err(|error| fault(&error)),
            None => Err(UnscoredReason::Deadline),
        };
        Pass { due, tokens, left, is_distrusted, result }
    }
}

/// Longest time for a pass over so many tokens, of which it may have to read all.
fn deadline(for_a_piece: Duration, tokens: usize) -> Duration {
    let pieces = u32::try_from(tokens.div_ceil(PIECE)).unwrap_or(u32::MAX);
    for_a_piece.saturating_mul(pieces.max(1))
}

/// The first of these tokens, as far as they spell the text; none where they spell another.
fn spelling(tokenizer: &Tokenizer, mut tokens: Vec<u32>, text: &str) -> Option<Vec<u32>> {
    let known = u32::try_from(tokenizer.vocab_size()).unwrap_or(u32::MAX);
    let (mut stream, mut spelled) = (tokenizer.decode_stream(), 0);
    for (at, &token) in tokens.iter().enumerate() {
        if token >= known {
            return None;
        }
        let piece = stream.push(token);
        if !text[spelled..].starts_with(&piece) {
            return None;
        }
        spelled += piece.len();
        if spelled == text.len() {
            tokens.truncate(at + 1);
            return Some(tokens);
        }
    }
    None
}

/// How many of a long text's tokens one pass reads, and the bytes that they stand for. None where
/// they do not spell the text: then nobody knows where they end.
fn first_of(tokenizer: &Tokenizer, tokens: &[u32], text: &str) -> Option<(usize, usize)> {
    let (mut stream, mut spelled, mut found) = (tokenizer.decode_stream(), 0, None);
    for (at, &token) in tokens.iter().take(PASS_TOKENS).enumerate() {
        let piece = stream.push(token);
        let piece = match piece.strip_prefix(' ') {
            // Some tokenizers put one before a text.
            Some(rest) if at == 0 && !text.starts_with(' ') => rest,
            _ => piece.as_str(),
        };
        if !text[spelled..].starts_with(piece) {
            return None;
        }
        spelled += piece.len();
        if !piece.is_empty() {
            found = Some((at + 1, spelled));
        }
    }
    found.filter(|(_, bytes)| *bytes < text.len())
}

fn fault(error: &ScoreError) -> UnscoredReason {
    match error {
        ScoreError::Submit(SubmitError::QueueFull { .. }) => UnscoredReason::QueueFull,
        ScoreError::Submit(SubmitError::ContextTooLong { .. }) => UnscoredReason::TooLong,
        ScoreError::Engine(EngineError::NotFinite) => UnscoredReason::NotFinite,
        ScoreError::Submit(SubmitError::EmptyPrompt | SubmitError::UnknownToken { .. }) => {
            UnscoredReason::NotUnderstood
        }
        error => {
            tracing::error!(%error, "the engine failed to score an answer");
            UnscoredReason::EngineFailed
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a3_the_deadline_grows_with_what_a_pass_reads() {
        let second = Duration::from_secs(1);
        for (tokens, pieces) in [(0, 1), (1, 1), (PIECE, 1), (PIECE + 1, 2), (16 * PIECE, 16)] {
            assert_eq!(deadline(second, tokens), second * pieces);
        }
        assert_eq!(deadline(Duration::ZERO, 9999), Duration::ZERO);
    }
}
