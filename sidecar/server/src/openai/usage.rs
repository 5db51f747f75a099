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
    /// Where this server has written the response.
    #[serde(skip_serializing_if = "Option::is_none")]
    completion_tokens_details: Option<CompletionDetails>,
}

/// The field `prompt_tokens_details`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
struct PromptDetails {
    cached_tokens: usize,
}

/// The field `completion_tokens_details`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
struct CompletionDetails {
    reasoning_tokens: usize,
}

impl Usage {
    pub(crate) fn new(prompt_tokens: usize, completion_tokens: usize) -> Self {
        let total_tokens = prompt_tokens + completion_tokens;
        Self {
            prompt_tokens,
            completion_tokens,
            total_tokens,
            prompt_tokens_details: None,
            completion_tokens_details: None,
        }
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

    /// The same, with so many tokens of reasoning among those of the response.
    #[must_use]
    pub(crate) fn with_reasoning(self, reasoning_tokens: usize) -> Self {
        let details = CompletionDetails { reasoning_tokens };
        Self { completion_tokens_details: Some(details), ..self }
    }

    /// Tokens of reasoning.
    pub(crate) fn reasoning_tokens(self) -> usize {
        self.completion_tokens_details.unwrap_or_default().reasoning_tokens
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
            completion_tokens_details: self
                .completion_tokens_details
                .or(other.completion_tokens_details)
                .map(|_| CompletionDetails {
                    reasoning_tokens: self.reasoning_tokens() + other.reasoning_tokens(),
                }),
            ..Self::new(
                self.prompt_tokens.max(other.prompt_tokens),
                self.completion_tokens + other.completion_tokens,
            )
        }
    }
}
