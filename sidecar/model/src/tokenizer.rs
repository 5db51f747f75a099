//! Text to tokens and back.

/// The tokenizer of one model.
#[derive(Debug)]
pub struct Tokenizer {}

impl Tokenizer {
    /// Tokens of plain text. Text that looks like a control token (`<|im_end|>`) is text, and no token is added at
    /// either end. Never fails: what the vocabulary lacks becomes byte or unknown tokens.
    #[must_use]
    pub fn encode(&self, _text: &str) -> Vec<u32> {
        Vec::new()
    }

    /// As [`Self::encode`], with control tokens recognised in the text, for trusted text only.
    #[must_use]
    pub fn encode_with_control(&self, _text: &str) -> Vec<u32> {
        Vec::new()
    }

    /// Text of tokens, without control tokens. Bytes that are no UTF-8 become U+FFFD.
    #[must_use]
    pub fn decode(&self, _tokens: &[u32]) -> String {
        String::new()
    }

    /// A decoder that takes tokens one by one.
    #[must_use]
    pub fn stream(&self) -> TextStream<'_> {
        TextStream { tokenizer: self }
    }

    /// Tokens that end a response.
    #[must_use]
    pub fn end_tokens(&self) -> &[u32] {
        &[]
    }

    /// Number of tokens in the vocabulary.
    #[must_use]
    pub fn vocabulary(&self) -> usize {
        0
    }
}

/// Turns tokens into text one by one, without ever splitting a character.
#[derive(Debug)]
pub struct TextStream<'a> {
    tokenizer: &'a Tokenizer,
}

impl TextStream<'_> {
    /// Text that became complete with this token; empty while a character is incomplete.
    pub fn push(&mut self, _token: u32) -> String {
        let _ = self.tokenizer;
        String::new()
    }

    /// What is left: U+FFFD for an incomplete character.
    #[must_use]
    pub fn finish(self) -> String {
        String::new()
    }
}
