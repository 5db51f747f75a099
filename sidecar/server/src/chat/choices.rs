//! The choices of one response: written side by side, each under a guard of its own.

use super::guarded::{GuardedGeneration, Output};
use crate::http::ApiError;
use futures::StreamExt as _;
use futures::stream::{BoxStream, SelectAll, select_all, unfold};

/// The choices of one response. Dropping them cancels those that are still being written.
pub(super) struct Choices {
    count: usize,
    with_logprobs: bool,
    outputs: SelectAll<BoxStream<'static, (usize, Result<Output, ApiError>)>>,
}

impl Choices {
    pub(super) fn new(generations: Vec<GuardedGeneration>) -> Self {
        let with_logprobs = generations.iter().any(GuardedGeneration::with_logprobs);
        let count = generations.len();
        let outputs = generations.into_iter().enumerate().map(|(index, generation)| {
            let next = move |mut generation: GuardedGeneration| async move {
                Some(((index, generation.next().await?), generation))
            };
            unfold(generation, next).boxed()
        });
        Self { count, with_logprobs, outputs: select_all(outputs) }
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Whether parts bring log probabilities.
    pub(super) fn with_logprobs(&self) -> bool {
        self.with_logprobs
    }

    /// What comes next, and of which choice; nothing after the end of all.
    pub(super) async fn next(&mut self) -> Option<(usize, Result<Output, ApiError>)> {
        self.outputs.next().await
    }
}
