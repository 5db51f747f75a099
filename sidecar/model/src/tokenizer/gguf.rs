//! A tokenizer from the metadata of a GGUF file.

use super::bpe::{self, ByteLevelBpe};
use super::kind::{BYTE, CONTROL, NORMAL, USER_DEFINED};
use super::parts::Parts;
use super::scheme::Scheme;
use super::special::{SpecialTokens, TokenMatcher, ends_turn};
use super::spm::{self, SentencePiece};
use super::vocabulary::Vocabulary;
use crate::error::LoadError;
use crate::load::gguf::Header;

/// Reads the tokenizer out of a header.
pub(super) fn read(header: &Header) -> Result<Parts, LoadError> {
    let tokens =
        header.texts("tokenizer.ggml.tokens").ok_or_else(|| missing("tokenizer.ggml.tokens"))?;
    let kinds = header.ints("tokenizer.ggml.token_type").unwrap_or(&[]);
    let kind = |token: usize| kinds.get(token).copied().unwrap_or(NORMAL);
    let (scheme, is_spm) = scheme(header, tokens, kinds)?;
    let mut vocabulary = Vocabulary::with_capacity(tokens.len());
    for (token, text) in tokens.iter().enumerate() {
        vocabulary.push(|bytes| match kind(token) {
            CONTROL => {}
            USER_DEFINED => bytes.extend(text.as_bytes()),
            kind if is_spm => spm::decode(text, kind == BYTE, bytes),
            _ => bpe::decode(text, bytes),
        })?;
    }
    let id = |key: &str| {
        header
            .int(key)
            .and_then(|id| u32::try_from(id).ok())
            .filter(|&id| (id as usize) < tokens.len())
    };
    let (bos, eos) = (id("tokenizer.ggml.bos_token_id"), id("tokenizer.ggml.eos_token_id"));
    let mut end_tokens: Vec<u32> =
        [eos, id("tokenizer.ggml.eot_token_id"), id("tokenizer.ggml.eom_token_id")]
            .into_iter()
            .flatten()
            .collect();
    let ends = |(token, text): &(u32, &String)| kind(*token as usize) == CONTROL && ends_turn(text);
    end_tokens.extend((0..).zip(tokens).filter(ends).map(|(token, _)| token));
    end_tokens.sort_unstable();
    end_tokens.dedup();
    let special = SpecialTokens {
        control: TokenMatcher::new(tokens, |token| kind(token) == CONTROL),
        user_defined: TokenMatcher::new(tokens, |token| kind(token) == USER_DEFINED),
        end_tokens,
        bos,
        adds_bos: header.bool("tokenizer.ggml.add_bos_token").unwrap_or(is_spm),
        boundary_texts: [bos, eos].map(|id| id.map(|id| tokens[id as usize].clone())),
    };
    Ok(Parts { scheme, vocabulary, special })
}

/// The tokenizer's scheme, and whether it is SentencePiece.
fn scheme(
    header: &Header,
    tokens: &[String],
    kinds: &[i32],
) -> Result<(Box<dyn Scheme>, bool), LoadError> {
    match header.text("tokenizer.ggml.model") {
        Some("gpt2") => {
            let merges = header
                .texts("tokenizer.ggml.merges")
                .ok_or_else(|| missing("tokenizer.ggml.merges"))?;
            let pre = header.text("tokenizer.ggml.pre").unwrap_or("default");
            Ok((Box::new(ByteLevelBpe::new(tokens, merges, pre)?), false))
        }
        Some("llama") => {
            let scores = header
                .floats("tokenizer.ggml.scores")
                .ok_or_else(|| missing("tokenizer.ggml.scores"))?;
            let adds_prefix = header.bool("tokenizer.ggml.add_space_prefix").unwrap_or(true);
            Ok((Box::new(SentencePiece::new(tokens, scores, kinds, adds_prefix)?), true))
        }
        other => {
            let name = other.unwrap_or("without a name");
            Err(LoadError::unsupported(format!("tokenizer {name}; supported are gpt2 and llama")))
        }
    }
}

fn missing(key: &str) -> LoadError {
    LoadError::corrupt(format!("{key} is missing"))
}
