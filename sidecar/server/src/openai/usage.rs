//! Tokens of a response.

use serde::Serialize;

/// The field `usage`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Usage {
    pub(crate) prompt_tokens: usize,
    pub(crate) completion_tokens: usize,
    total_tokens: usize,
    /// Where this server has read the prompt.
    #[serde(skip_serializing_if = "Option::is_none")]
    prompt_tokens_details: Option<PromptDetails>,
}

/// The field `prompt_tokens_details`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
struct PromptDetails {
    cached_tokens: usize,
}

impl Usage {
    pub(crate) fn new(prompt_tokens: usize, completion_tokens: usize) -> Self {
        let total_tokens = prompt_tokens + completion_tokens;
        Self { prompt_tokens, completion_tokens, total_tokens, prompt_tokens_details: None }
    }

    /// The same, with so many tokens of the prompt from the prefix cache.
    #[must_use]
    pub(crate) fn with_cached(self, cached_tokens: usize) -> Self {
        Self { prompt_tokens_details: Some(PromptDetails { cached_tokens }), ..self }
    }

    /// The same prompt, with a response of so many tokens.
    #[must_use]
    pub(crate) fn with_completion(self, completion_tokens: usize) -> Self {
        let total_tokens = self.prompt_tokens + completion_tokens;
        Self { completion_tokens, total_tokens, ..self }
    }

    /// Tokens of the prompt that came from the prefix cache.
    pub(crate) fn cached_tokens(self) -> usize {
        self.prompt_tokens_details.unwrap_or_default().cached_tokens
    }

    /// Of two choices together: they share one prompt, of which the later ones find all that the
    /// first has read in the cache.
    #[must_use]
    pub(crate) fn with_choice(self, other: Self) -> Self {
        let details = [self.prompt_tokens_details, other.prompt_tokens_details];
        Self {
            prompt_tokens_details: details
                .into_iter()
                .flatten()
                .min_by_key(|details| details.cached_tokens),
            ..Self::new(
                self.prompt_tokens.max(other.prompt_tokens),
                self.completion_tokens + other.completion_tokens,
            )
        }
    }
}
