//! Where in a sequence an intervention acts.

/// The positions at which an [`super::Intervention`] acts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Positions {
    /// Response tokens: every position after the prompt's last. The first response token is sampled
    /// from the last prompt position, which is not changed.
    #[default]
    Response,
    /// Prompt tokens.
    Prompt,
    /// Prompt and response tokens.
    All,
}

impl Positions {
    /// Whether `position` is one of them, in a sequence whose prompt has `prompt_tokens` tokens.
    pub(crate) fn include(self, position: usize, prompt_tokens: usize) -> bool {
        match self {
            Self::Response => position >= prompt_tokens,
            Self::Prompt => position < prompt_tokens,
            Self::All => true,
        }
    }
}

#[cfg(test)]
mod tests;
