//! How plain text is split into tokens.

/// A way to split plain text into tokens.
pub(super) trait Scheme: Send + Sync {
    /// Appends the tokens of `text`; `first` tells whether it begins a sequence.
    fn encode(&self, text: &str, first: bool, tokens: &mut Vec<u32>);
}
