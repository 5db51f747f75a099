//! Text to tokens and back, as the model's files describe its tokenizer.

mod bpe;
mod gguf;
mod hf;
mod kind;
mod parts;
mod scheme;
mod special;
mod spm;
mod utf8;
mod vocabulary;

use crate::error::LoadError;
use crate::load::TokenizerFiles;
use parts::Parts;
pub(crate) use utf8::Utf8Buffer;

/// The tokenizer of one model.
pub struct Tokenizer {
    parts: Parts,
}

impl std::fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokenizer").field("vocab_size", &self.vocab_size()).finish_non_exhaustive()
    }
}

impl Tokenizer {
    /// For weights that have a row for each of `rows` tokens. Tokens beyond are left out.
    pub(crate) fn new(files: &TokenizerFiles, rows: usize) -> Result<Self, LoadError> {
        let parts = match files {
            TokenizerFiles::Gguf(header) => gguf::read(header, rows)?,
            TokenizerFiles::Hf(files) => hf::read(files, rows)?,
        };
        Ok(Self { parts })
    }

    /// Tokens of plain text. Text that looks like a control token (`<|im_end|>`) stays text, and no
    /// token is added at either end.
    #[must_use]
    pub fn encode(&self, text: &str) -> Vec<u32> {
        let mut tokens = Vec::new();
        self.encode_plain(text, true, &mut tokens);
        tokens
    }

    /// As [`Self::encode`], for text that continues other text: no space is put in front where the
    /// tokenizer would otherwise do so.
    #[must_use]
    pub fn encode_continuation(&self, text: &str) -> Vec<u32> {
        let mut tokens = Vec::new();
        self.encode_plain(text, false, &mut tokens);
        tokens
    }

    /// As [`Self::encode`], but text that looks like a control token becomes that token: for
    /// trusted text only.
    #[must_use]
    pub fn encode_with_control(&self, text: &str) -> Vec<u32> {
        self.encode_marked(text, None)
    }

    /// Tokens of a whole prompt, as model servers read the prompts of `completions`: control tokens
    /// are such, and the token that begins a sequence stands in front where the model wants one.
    #[must_use]
    pub fn encode_prompt(&self, text: &str) -> Vec<u32> {
        let mut tokens = self.encode_with_control(text);
        self.add_bos(&mut tokens);
        tokens
    }

    /// As [`Self::encode_with_control`]; then removes `mark` from the plain text. Text with the
    /// mark inside, from [`Self::break_control`], thus stays plain.
    pub(crate) fn encode_marked(&self, text: &str, mark: Option<char>) -> Vec<u32> {
        let mut tokens = Vec::new();
        self.parts.special.control.split(text, &mut tokens, |text, tokens| {
            let first = tokens.is_empty() || self.parts.special.prefix_after;
            match mark {
                Some(mark) => self.encode_plain(&text.replace(mark, ""), first, tokens),
                None => self.encode_plain(text, first, tokens),
            }
        });
        tokens
    }

    /// `first` tells whether the text begins a sequence.
    fn encode_plain(&self, text: &str, first: bool, tokens: &mut Vec<u32>) {
        let before = tokens.len();
        self.parts.special.user_defined.split(text, tokens, |text, tokens| {
            let first = match tokens.len() == before {
                true => first,
                false => self.parts.special.prefix_after,
            };
            if !text.is_empty() {
                self.parts.scheme.encode(text, first, tokens);
            }
        });
    }

    /// Puts `mark` into everything in the text that looks like a control token.
    pub(crate) fn break_control(&self, text: String, mark: char) -> String {
        self.parts.special.control.break_up(text, mark)
    }

    /// Puts the token that begins a sequence in front, where the model wants one and the tokens do
    /// not already begin with it.
    pub(crate) fn add_bos(&self, tokens: &mut Vec<u32>) {
        if let Some(bos) = self.parts.special.bos.filter(|_| self.parts.special.adds_bos)
            && tokens.first() != Some(&bos)
        {
            tokens.insert(0, bos);
        }
    }

    /// Texts of the tokens that begin and end a sequence, for chat templates.
    pub(crate) fn boundary_texts(&self) -> [Option<&str>; 2] {
        let [bos, eos] = &self.parts.special.boundary_texts;
        [bos.as_deref(), eos.as_deref()]
    }

    /// Text of tokens; control tokens have none, but for those between the messages of an answer,
    /// where it may have several. Bytes that are not UTF-8 become U+FFFD.
    #[must_use]
    pub fn decode(&self, tokens: &[u32]) -> String {
        let bytes: Vec<u8> =
            tokens.iter().flat_map(|&token| self.token_bytes(token)).copied().collect();
        String::from_utf8(bytes)
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
    }

    /// As [`Self::decode`], with control tokens as their files write them. With
    /// [`Self::encode_with_control`] they become the same tokens again.
    #[must_use]
    pub fn decode_with_control(&self, tokens: &[u32]) -> String {
        let mut bytes: Vec<u8> = Vec::new();
        for &token in tokens {
            match self.parts.special.control.text_of(token) {
                Some(text) => bytes.extend(text.as_bytes()),
                None => bytes.extend(self.token_bytes(token)),
            }
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Bytes of one token, which may be a part of a character; none for a control token, but for
    /// those as in [`Self::decode`].
    #[must_use]
    pub fn token_bytes(&self, token: u32) -> &[u8] {
        self.parts.vocabulary.token_bytes(token)
    }

    /// The same, but none for any control token: what can be a part of a constrained text.
    pub(crate) fn text_bytes(&self, token: u32) -> &[u8] {
        match self.parts.special.shown.binary_search(&token) {
            Ok(_) => &[],
            Err(_) => self.token_bytes(token),
        }
    }

    /// A decoder that takes tokens one by one.
    #[must_use]
    pub fn decode_stream(&self) -> DecodeStream<'_> {
        DecodeStream { tokenizer: self, buffer: Utf8Buffer::default() }
    }

    /// Tokens that end a response, in ascending order.
    #[must_use]
    pub fn end_tokens(&self) -> &[u32] {
        &self.parts.special.end_tokens
    }

    /// Number of tokens in the vocabulary.
    #[must_use]
    pub fn vocab_size(&self) -> usize {
        self.parts.vocabulary.len()
    }
}

/// Turns tokens into text one by one, without ever splitting a character.
#[derive(Debug)]
pub struct DecodeStream<'a> {
    tokenizer: &'a Tokenizer,
    buffer: Utf8Buffer,
}

impl DecodeStream<'_> {
    /// The text that this token completes; empty while a character is incomplete.
    pub fn push(&mut self, token: u32) -> String {
        self.buffer.push(self.tokenizer.token_bytes(token))
    }

    /// What is left: U+FFFD for an incomplete character.
    #[must_use]
    pub fn finish(mut self) -> String {
        self.buffer.finish()
    }
}
