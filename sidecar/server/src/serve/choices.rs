//! The choices of one response: answers that are written side by side, each under a guard of its
//! own.

use super::answer::{Answer, Next};
use super::error::ApiError;
use futures::StreamExt as _;
use futures::stream::{BoxStream, SelectAll, select_all, unfold};

/// Choices of one response at most.
pub(super) const MAX_CHOICES: i64 = 8;

/// The choices of one response. Dropping them cancels those that are still written.
pub(super) struct Choices {
    count: usize,
    with_logprobs: bool,
    events: SelectAll<BoxStream<'static, (usize, Result<Next, ApiError>)>>,
}

impl Choices {
    pub(super) fn new(answers: Vec<Answer>) -> Self {
        let with_logprobs = answers.iter().any(Answer::with_logprobs);
        let count = answers.len();
        let events = answers.into_iter().enumerate().map(|(index, answer)| {
            let next = move |mut answer: Answer| async move {
                Some(((index, answer.next().await?), answer))
            };
            unfold(answer, next).boxed()
        });
        Self { count, with_logprobs, events: select_all(events) }
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Whether pieces bring log probabilities.
    pub(super) fn with_logprobs(&self) -> bool {
        self.with_logprobs
    }

    /// What comes next, and of which choice; nothing after the end of all.
    pub(super) async fn next(&mut self) -> Option<(usize, Result<Next, ApiError>)> {
        self.events.next().await
    }
}
