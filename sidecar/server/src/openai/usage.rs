//! Tokens of a response.

use serde::Serialize;

/// The field `usage`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Usage {
    pub(crate) prompt_tokens: usize,
    pub(crate) completion_tokens: usize,
    total_tokens: usize,
}

impl Usage {
    pub(crate) fn new(prompt_tokens: usize, completion_tokens: usize) -> Self {
        Self { prompt_tokens, completion_tokens, total_tokens: prompt_tokens + completion_tokens }
    }

    /// Of two choices together: they share one prompt.
    #[must_use]
    pub(crate) fn with_choice(self, other: Self) -> Self {
        Self::new(
            self.prompt_tokens.max(other.prompt_tokens),
            self.completion_tokens + other.completion_tokens,
        )
    }
}
