//! Text to tokens and back, from what a weight file, or the `tokenizer.json` beside it, says of its
//! tokenizer.

mod bpe;
pub(crate) mod hub;
mod spm;

use crate::gguf::Header;
use crate::model::LoadError;
use aho_corasick::{AhoCorasick, MatchKind};

/// The tokenizer of one model.
pub struct Tokenizer {
    scheme: Scheme,
    /// What each token stands for, all in a row; token t is `bytes[ends[t - 1]..ends[t]]`. Control
    /// tokens are empty.
    bytes: Vec<u8>,
    ends: Vec<u32>,
    /// Control tokens: in trusted text only.
    control: Whole,
    /// Tokens that are found in any text before it is split into words.
    user_defined: Whole,
    end_tokens: Vec<u32>,
    bos: Option<u32>,
    add_bos: bool,
    boundary_texts: [Option<String>; 2],
}

/// Tokens that are found as whole texts.
struct Whole {
    /// Pattern p is token `ids[p]`.
    finder: Option<AhoCorasick>,
    ids: Vec<u32>,
}

impl Whole {
    fn new(tokens: &[String], wanted: impl Fn(usize) -> bool) -> Self {
        // One character is never a control token in text: it could not be told from text.
        let chosen = |index: &usize| wanted(*index) && tokens[*index].chars().nth(1).is_some();
        let ids: Vec<u32> = (0..tokens.len())
            .filter(chosen)
            .filter_map(|index| u32::try_from(index).ok())
            .collect();
        let finder = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            .build(ids.iter().map(|&id| &tokens[id as usize]))
            .ok()
            .filter(|_| !ids.is_empty());
        Self { finder, ids }
    }

    /// Appends such tokens as they are found, and calls `plain` for the text between them.
    fn split(&self, text: &str, tokens: &mut Vec<u32>, plain: impl Fn(&str, &mut Vec<u32>)) {
        let mut end = 0;
        for found in self.finder.iter().flat_map(|finder| finder.find_iter(text)) {
            plain(&text[end..found.start()], tokens);
            tokens.push(self.ids[found.pattern().as_usize()]);
            end = found.end();
        }
        plain(&text[end..], tokens);
    }
}

enum Scheme {
    Bpe(Box<bpe::Bpe>),
    Spm(Box<spm::Spm>),
    Hub(Box<hub::Hub>),
}

impl std::fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokenizer").field("vocabulary", &self.vocabulary()).finish_non_exhaustive()
    }
}

/// Kinds of token in `tokenizer.ggml.token_type`.
const CONTROL: i32 = 3;
const USER_DEFINED: i32 = 4;
const BYTE: i32 = 6;

/// Files often name only one; whatever closes a turn in a known chat format ends a response.
const CLOSING: [&str; 6] =
    ["<|im_end|>", "<|eot_id|>", "<|eom_id|>", "<end_of_turn>", "<|endoftext|>", "<|end_of_text|>"];

impl Tokenizer {
    pub(crate) fn from_gguf(header: &Header) -> Result<Self, LoadError> {
        let missing = |key: &str| LoadError::Corrupt { what: format!("{key} is missing") };
        let tokens = header
            .texts("tokenizer.ggml.tokens")
            .ok_or_else(|| missing("tokenizer.ggml.tokens"))?;
        let kinds = header.ints("tokenizer.ggml.token_type").unwrap_or(&[]);
        let kind = |token: usize| kinds.get(token).copied().unwrap_or(1);
        let (scheme, model) = match header.text("tokenizer.ggml.model") {
            Some("gpt2") => {
                let merges = header
                    .texts("tokenizer.ggml.merges")
                    .ok_or_else(|| missing("tokenizer.ggml.merges"))?;
                let pre = header.text("tokenizer.ggml.pre").unwrap_or("default");
                (Scheme::Bpe(Box::new(bpe::Bpe::new(tokens, merges, pre)?)), Model::Bpe)
            }
            Some("llama") => {
                let scores = header
                    .floats("tokenizer.ggml.scores")
                    .ok_or_else(|| missing("tokenizer.ggml.scores"))?;
                let prefix = header.bool("tokenizer.ggml.add_space_prefix").unwrap_or(true);
                (Scheme::Spm(Box::new(spm::Spm::new(tokens, scores, kinds, prefix)?)), Model::Spm)
            }
            other => {
                let name = other.unwrap_or("without a name").to_owned();
                return Err(LoadError::Unsupported {
                    what: format!("tokenizer {name}; supported are gpt2 and llama"),
                });
            }
        };
        let (mut bytes, mut ends) = (Vec::new(), Vec::with_capacity(tokens.len()));
        for (token, text) in tokens.iter().enumerate() {
            match (kind(token), model) {
                (CONTROL, _) => {}
                (USER_DEFINED, _) => bytes.extend(text.as_bytes()),
                (_, Model::Bpe) => bpe::decode(text, &mut bytes),
                (kind, Model::Spm) => spm::decode(text, kind == BYTE, &mut bytes),
            }
            ends.push(u32::try_from(bytes.len()).map_err(|_| missing("a vocabulary below 4 GiB"))?);
        }
        let id = |key: &str| {
            header
                .int(key)
                .and_then(|id| u32::try_from(id).ok())
                .filter(|&id| (id as usize) < tokens.len())
        };
        let eos = id("tokenizer.ggml.eos_token_id");
        let mut end_tokens: Vec<u32> =
            [eos, id("tokenizer.ggml.eot_token_id"), id("tokenizer.ggml.eom_token_id")]
                .into_iter()
                .flatten()
                .collect();
        let closes = |(token, text): &(u32, &String)| {
            kind(*token as usize) == CONTROL && CLOSING.contains(&text.as_str())
        };
        end_tokens.extend((0..).zip(tokens).filter(closes).map(|(token, _)| token));
        end_tokens.sort_unstable();
        end_tokens.dedup();
        Ok(Self {
            scheme,
            bytes,
            ends,
            control: Whole::new(tokens, |token| kind(token) == CONTROL),
            user_defined: Whole::new(tokens, |token| kind(token) == USER_DEFINED),
            end_tokens,
            boundary_texts: [id("tokenizer.ggml.bos_token_id"), eos]
                .map(|id| id.map(|id| tokens[id as usize].clone())),
            bos: id("tokenizer.ggml.bos_token_id"),
            add_bos: header.bool("tokenizer.ggml.add_bos_token").unwrap_or(model == Model::Spm),
        })
    }

    /// Tokens of plain text. Text that looks like a control token (`<|im_end|>`) is text, and no
    /// token is added at either end.
    #[must_use]
    pub fn encode(&self, text: &str) -> Vec<u32> {
        let mut tokens = Vec::new();
        self.encode_plain(text, true, &mut tokens);
        tokens
    }

    /// As [`Self::encode`], for text that continues other text: no space is put in front, where the
    /// model would have one.
    #[must_use]
    pub fn encode_further(&self, text: &str) -> Vec<u32> {
        let mut tokens = Vec::new();
        self.encode_plain(text, false, &mut tokens);
        tokens
    }

    /// As [`Self::encode`], with control tokens recognised in the text, for trusted text only.
    #[must_use]
    pub fn encode_with_control(&self, text: &str) -> Vec<u32> {
        self.encode_marked(text, None)
    }

    /// Control tokens are recognised, and then `mark` is taken out of plain text.
    pub(crate) fn encode_marked(&self, text: &str, mark: Option<char>) -> Vec<u32> {
        let mut tokens = Vec::new();
        self.control.split(text, &mut tokens, |text, tokens| {
            let first = tokens.is_empty();
            match mark {
                Some(mark) => self.encode_plain(&text.replace(mark, ""), first, tokens),
                None => self.encode_plain(text, first, tokens),
            }
        });
        tokens
    }

    fn encode_plain(&self, text: &str, first: bool, tokens: &mut Vec<u32>) {
        let before = tokens.len();
        self.user_defined.split(text, tokens, |text, tokens| match &self.scheme {
            _ if text.is_empty() => {}
            Scheme::Bpe(bpe) => bpe.encode(text, tokens),
            Scheme::Spm(spm) => spm.encode(text, first && tokens.len() == before, tokens),
            Scheme::Hub(hub) => hub.encode(text, first && tokens.len() == before, tokens),
        });
    }

    /// The text with `mark` put into whatever reads like a control token.
    pub(crate) fn break_control(&self, mut text: String, mark: char) -> String {
        let Some(finder) = &self.control.finder else { return text };
        // Once more after a change, because control tokens may overlap.
        while finder.is_match(&text) {
            let mut broken = String::with_capacity(text.len() + 64);
            let mut end = 0;
            for found in finder.find_iter(&text) {
                let first = text[found.start()..].chars().next().map_or(0, char::len_utf8);
                broken.push_str(&text[end..found.start() + first]);
                broken.push(mark);
                end = found.start() + first;
            }
            broken.push_str(&text[end..]);
            text = broken;
        }
        text
    }

    /// Puts the token that begins a sequence in front, where the model wants one and it is not
    /// there.
    pub(crate) fn begin(&self, tokens: &mut Vec<u32>) {
        if let Some(bos) = self.bos.filter(|_| self.add_bos)
            && tokens.first() != Some(&bos)
        {
            tokens.insert(0, bos);
        }
    }

    /// Text of the tokens that begin and end a sequence, for chat templates.
    pub(crate) fn boundary_texts(&self) -> [Option<&str>; 2] {
        [self.boundary_texts[0].as_deref(), self.boundary_texts[1].as_deref()]
    }

    /// Text of tokens, without control tokens. Bytes that are no UTF-8 become U+FFFD.
    #[must_use]
    pub fn decode(&self, tokens: &[u32]) -> String {
        let bytes: Vec<u8> =
            tokens.iter().flat_map(|&token| self.token_bytes(token)).copied().collect();
        String::from_utf8(bytes)
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
    }

    /// Bytes of one token, which may be a part of a character; none for a control token.
    #[must_use]
    pub fn token_bytes(&self, token: u32) -> &[u8] {
        let index = token as usize;
        let start =
            index.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or(0);
        let end = self.ends.get(index).copied().unwrap_or(start);
        self.bytes.get(start as usize..end as usize).unwrap_or(&[])
    }

    /// A decoder that takes tokens one by one.
    #[must_use]
    pub fn stream(&self) -> TextStream<'_> {
        TextStream { tokenizer: self, pending: Pending::default() }
    }

    /// Tokens that end a response.
    #[must_use]
    pub fn end_tokens(&self) -> &[u32] {
        &self.end_tokens
    }

    /// Number of tokens in the vocabulary.
    #[must_use]
    pub fn vocabulary(&self) -> usize {
        self.ends.len()
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Model {
    Bpe,
    Spm,
}

/// Turns tokens into text one by one, without ever splitting a character.
#[derive(Debug)]
pub struct TextStream<'a> {
    tokenizer: &'a Tokenizer,
    pending: Pending,
}

impl TextStream<'_> {
    /// Text that became complete with this token; empty while a character is incomplete.
    pub fn push(&mut self, token: u32) -> String {
        self.pending.push(self.tokenizer.token_bytes(token))
    }

    /// What is left: U+FFFD for an incomplete character.
    #[must_use]
    pub fn finish(mut self) -> String {
        self.pending.finish()
    }
}

/// The beginning of a character, at most 3 bytes.
#[derive(Debug, Default)]
pub(crate) struct Pending(Vec<u8>);

impl Pending {
    /// The text that these bytes complete; bytes that are no UTF-8 become U+FFFD.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> String {
        self.0.extend_from_slice(bytes);
        let mut text = String::new();
        loop {
            match std::str::from_utf8(&self.0) {
                Ok(valid) => {
                    text.push_str(valid);
                    self.0.clear();
                    return text;
                }
                Err(error) => {
                    let valid = error.valid_up_to();
                    text.push_str(&String::from_utf8_lossy(&self.0[..valid]));
                    let Some(length) = error.error_len() else {
                        self.0.drain(..valid);
                        return text;
                    };
                    text.push(char::REPLACEMENT_CHARACTER);
                    self.0.drain(..valid + length);
                }
            }
        }
    }

    /// U+FFFD for what stayed incomplete.
    pub(crate) fn finish(&mut self) -> String {
        String::from_utf8_lossy(&std::mem::take(&mut self.0)).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn streams_never_split_a_character(bytes in prop::collection::vec(any::<u8>(), 0..40), cut in 1_usize..5) {
            let mut pending = Pending::default();
            let mut text: String = bytes.chunks(cut).map(|chunk| pending.push(chunk)).collect();
            prop_assert!(pending.0.len() < 4);
            text.push_str(&pending.finish());
            prop_assert_eq!(text, String::from_utf8_lossy(&bytes));
        }
    }
}
