//! Tokens of a response.

use serde::Serialize;

/// Tokens of a response.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Usage {
    pub(crate) prompt_tokens: usize,
    pub(crate) completion_tokens: usize,
    pub(crate) total_tokens: usize,
}

impl Usage {
    pub(crate) fn new(prompt_tokens: usize, completion_tokens: usize) -> Self {
        Self { prompt_tokens, completion_tokens, total_tokens: prompt_tokens + completion_tokens }
    }

    /// Of two choices: they share one prompt.
    pub(crate) fn beside(self, other: Self) -> Self {
        Self::new(
            self.prompt_tokens.max(other.prompt_tokens),
            self.completion_tokens + other.completion_tokens,
        )
    }
}
