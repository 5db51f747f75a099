//! Byte-level BPE (GPT-2 and its descendants), by the `tokenizers` crate.

use super::scheme::Scheme;
use crate::error::LoadError;
use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;
use tokenizers::models::bpe::BPE;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::digits::Digits;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::{NormalizerWrapper, PreTokenizerWrapper, SplitDelimiterBehavior};

pub(super) struct ByteLevelBpe {
    inner: tokenizers::Tokenizer,
    /// The token of each single byte, for text on which the tokenizer fails.
    bytes: Vec<Option<u32>>,
}

/// How text is split into words, by the name that the file gives its pre-tokenizer.
fn pre_tokenizer(name: &str) -> Result<PreTokenizerWrapper, LoadError> {
    // Words, numbers of up to three (or one) digits, punctuation, line breaks.
    const LLAMA3: &str = concat!(
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}",
        r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    );
    const QWEN2: &str = concat!(
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}",
        r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    );
    const TEKKEN: &str = concat!(
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+",
        r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}",
        r"| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    );
    // Words in the case of their letters, with a contraction at their end.
    const GPT_4O: &str = concat!(
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+",
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
        r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*",
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}",
        r"| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    );
    let by_pattern = |pattern: &str| -> Result<PreTokenizerWrapper, LoadError> {
        let split = Split::new(
            SplitPattern::Regex(pattern.into()),
            SplitDelimiterBehavior::Isolated,
            false,
        )
        .map_err(|error| LoadError::unsupported(format!("its pre-tokenizer: {error}")))?;
        Ok(Sequence::new(vec![split.into(), ByteLevel::new(false, false, false).into()]).into())
    };
    match name {
        "smollm" | "starcoder" | "refact" | "command-r" => Ok(Sequence::new(vec![
            Digits::new(true).into(),
            ByteLevel::new(false, true, true).into(),
        ])
        .into()),
        "llama-bpe" | "llama3" | "llama-v3" | "smaug-bpe" | "dbrx" => by_pattern(LLAMA3),
        "gpt-4o" => by_pattern(GPT_4O),
        "qwen2" | "deepseek-r1-qwen" => by_pattern(QWEN2),
        "tekken" => by_pattern(TEKKEN),
        "gpt-2" | "default" | "olmo" => Ok(ByteLevel::new(false, true, true).into()),
        other => Err(LoadError::unsupported(format!(
            "pre-tokenizer {other}: give the model as a folder with its tokenizer.json, which says \
             how text is split"
        ))),
    }
}

impl ByteLevelBpe {
    /// `merges` are pairs of tokens with a space in between, best first; `pre` names the
    /// pre-tokenizer. No text becomes a token that `left_out` has.
    pub(super) fn new(
        tokens: &[String],
        left_out: &HashSet<&str>,
        merges: &[String],
        pre: &str,
    ) -> Result<Self, LoadError> {
        let vocabulary: ahash::AHashMap<String, u32> = tokens
            .iter()
            .zip(0..)
            .filter(|(text, _)| !left_out.contains(text.as_str()))
            .map(|(text, id)| (text.clone(), id))
            .collect();
        let is_left_out = |text: &str| left_out.contains(text);
        let merges = merges
            .iter()
            .map(|merge| {
                // Neither side is empty, so a space at the very start belongs to the left side.
                let at = merge.char_indices().skip(1).find(|(_, c)| *c == ' ').map(|(at, _)| at);
                let at = at.ok_or_else(|| {
                    LoadError::corrupt(format!("the merge {merge:?} is not a pair"))
                })?;
                Ok((merge[..at].to_owned(), merge[at + 1..].to_owned()))
            })
            .filter(|merge| {
                merge.as_ref().map_or(true, |(left, right)| {
                    left_out.is_empty()
                        || !(is_left_out(left)
                            || is_left_out(right)
                            || is_left_out(&format!("{left}{right}")))
                })
            })
            .collect::<Result<Vec<_>, LoadError>>()?;
        let bytes =
            (0..=255_u8).map(|byte| vocabulary.get(&char_of(byte).to_string()).copied()).collect();
        let llama3 = matches!(pre, "llama-bpe" | "llama3" | "llama-v3" | "tekken");
        let model = BPE::builder()
            .vocab_and_merges(vocabulary, merges)
            .ignore_merges(llama3)
            .build()
            .map_err(|error| LoadError::corrupt(format!("its tokenizer: {error}")))?;
        let mut inner = tokenizers::Tokenizer::new(model);
        inner.with_pre_tokenizer(Some(pre_tokenizer(pre)?));
        if matches!(pre, "qwen2" | "deepseek-r1-qwen") {
            inner
                .with_normalizer(Some(NormalizerWrapper::NFC(tokenizers::normalizers::NFC)))
                .map_err(|error| LoadError::corrupt(format!("its tokenizer: {error}")))?;
        }
        Ok(Self { inner, bytes })
    }
}

impl Scheme for ByteLevelBpe {
    fn encode(&self, text: &str, _first: bool, tokens: &mut Vec<u32>) {
        match self.inner.encode_fast(text, false) {
            Ok(encoding) => tokens.extend_from_slice(encoding.get_ids()),
            Err(_) => tokens.extend(text.bytes().filter_map(|byte| self.bytes[usize::from(byte)])),
        }
    }
}

/// GPT-2 writes each byte as one printable character: bytes that are printable in Latin-1 as
/// themselves, the others, in order, as the characters from U+0100 on.
fn char_of(byte: u8) -> char {
    let printable = |byte: u8| matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
    if printable(byte) {
        return char::from(byte);
    }
    let before = (0..byte).filter(|&byte| !printable(byte)).count();
    u32::try_from(before)
        .ok()
        .and_then(|before| char::from_u32(0x100 + before))
        .unwrap_or(char::REPLACEMENT_CHARACTER)
}

/// Appends the bytes that a token's text stands for.
pub(super) fn decode(text: &str, bytes: &mut Vec<u8>) {
    static BYTES: LazyLock<HashMap<char, u8>> =
        LazyLock::new(|| (0..=255).map(|byte| (char_of(byte), byte)).collect());
    for c in text.chars() {
        match BYTES.get(&c) {
            Some(&byte) => bytes.push(byte),
            None => bytes.extend(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
}

#[cfg(test)]
mod tests;
