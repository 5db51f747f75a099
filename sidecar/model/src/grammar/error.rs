//! Why there is no grammar, or no token that fits one.

/// Why a [`super::Grammar`] was not compiled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GrammarError {
    /// The schema is too long, or combines too many alternatives.
    #[error("{0}")]
    TooLarge(&'static str),
    /// The schema is invalid, or uses a feature that is not supported.
    #[error("the schema cannot be used: {0}")]
    Schema(String),
    /// A text's form is invalid, or uses a feature that is not supported.
    #[error("it cannot be used: {0}")]
    Text(String),
}

impl GrammarError {
    pub(super) fn schema(what: &str) -> Self {
        Self::Schema(what.to_owned())
    }
}

/// No token continues the response within its grammar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NoValidToken;
