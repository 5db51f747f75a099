//! A tokenizer from the metadata of a GGUF file.

use super::bpe::{self, ByteLevelBpe};
use super::kind::{BYTE, CONTROL, NORMAL, USER_DEFINED};
use super::parts::Parts;
use super::scheme::Scheme;
use super::special::{
    SpecialTokens, TokenMatcher, is_bracketed, is_control_text, shown_in_answers, turn_ends,
};
use super::spm::{self, SentencePiece};
use super::vocabulary::Vocabulary;
use crate::error::LoadError;
use crate::load::gguf::Header;
use std::collections::HashSet;

/// Most tokens that a warning names.
const SHOWN: usize = 8;

/// Reads the tokenizer out of a header, for weights that have a row for each of `rows` tokens.
pub(super) fn read(header: &Header, rows: usize) -> Result<Parts, LoadError> {
    let all =
        header.texts("tokenizer.ggml.tokens").ok_or_else(|| missing("tokenizer.ggml.tokens"))?;
    let tokens = &all[..all.len().min(rows)];
    if tokens.len() < all.len() {
        tracing::warn!(
            tokens = all.len(),
            rows,
            "the tokenizer has more tokens than the weights: those beyond are left out"
        );
    }
    let id = |key: &str| {
        header
            .int(key)
            .and_then(|id| u32::try_from(id).ok())
            .filter(|&id| (id as usize) < tokens.len())
    };
    let (bos, eos) = (id("tokenizer.ggml.bos_token_id"), id("tokenizer.ggml.eos_token_id"));
    let named_ends = [eos, id("tokenizer.ggml.eot_token_id"), id("tokenizer.ggml.eom_token_id")];
    let kinds = Kinds::read(header, tokens, &[&[bos][..], &named_ends[..]].concat());
    let left_out = all.iter().enumerate().filter(|(index, text)| {
        *index >= tokens.len() || (kinds.is_control(*index) && text.chars().nth(1).is_some())
    });
    let left_out = left_out.map(|(_, text)| text.as_str()).collect();
    let (scheme, is_spm, prefix_after_special) = scheme(header, tokens, &left_out, &kinds.used)?;
    let ends_turn = turn_ends(tokens);
    let ends = |token: usize| kinds.is_control(token) && ends_turn(&tokens[token]);
    let is_shown = shown_in_answers(tokens);
    let mut vocabulary = Vocabulary::with_capacity(tokens.len());
    for (token, text) in tokens.iter().enumerate() {
        vocabulary.push(|bytes| match kinds.stated(token) {
            _ if is_shown(text) => bytes.extend(text.as_bytes()),
            CONTROL => {}
            _ if ends(token) => {}
            USER_DEFINED => bytes.extend(text.as_bytes()),
            kind if is_spm => spm::decode(text, kind == BYTE, bytes),
            _ => bpe::decode(text, bytes),
        })?;
    }
    let mut end_tokens: Vec<u32> = named_ends.into_iter().flatten().collect();
    end_tokens.extend((0..).zip(0..tokens.len()).filter(|(_, at)| ends(*at)).map(|(id, _)| id));
    end_tokens.sort_unstable();
    end_tokens.dedup();
    let control = TokenMatcher::new(tokens, |token| kinds.is_control(token));
    let special = SpecialTokens {
        shown: control.with_text(is_shown),
        control,
        user_defined: TokenMatcher::new(tokens, |token| kinds.used[token] == USER_DEFINED),
        end_tokens,
        bos,
        adds_bos: header.bool("tokenizer.ggml.add_bos_token").unwrap_or(is_spm),
        boundary_texts: [bos, eos].map(|id| id.map(|id| tokens[id as usize].clone())),
        prefix_after: prefix_after_special,
    };
    Ok(Parts { scheme, vocabulary, special })
}

/// The kinds of tokens, one for each.
struct Kinds<'a> {
    /// As the file has them; a token beyond is normal.
    stated: &'a [i32],
    /// The same, but control tokens are such whatever the file says. Conversions often lose the
    /// kind of the tokens that a finetune added.
    used: Vec<i32>,
}

impl<'a> Kinds<'a> {
    /// `ends` are tokens that begin or end a sequence.
    fn read(header: &'a Header, tokens: &[String], ends: &[Option<u32>]) -> Self {
        let stated = header.ints("tokenizer.ggml.token_type").unwrap_or(&[]);
        let template = header.text("tokenizer.chat_template").unwrap_or_default();
        let mut kinds = Self { stated, used: Vec::new() };
        kinds.used = (0..tokens.len()).map(|token| kinds.stated(token)).collect();
        let mut changed = Vec::new();
        for (token, text) in tokens.iter().enumerate() {
            let is_control = match kinds.used[token] {
                CONTROL | BYTE => false,
                _ if text.chars().nth(1).is_none() => false,
                // Nothing but the chat format gives a word that is in no text a token.
                USER_DEFINED if is_bracketed(text) && template.contains(text.as_str()) => true,
                _ => is_control_text(text),
            };
            let may_bound = kinds.used[token] == USER_DEFINED
                || (kinds.used[token] == NORMAL && is_bracketed(text));
            let bounds = || ends.iter().flatten().any(|&end| end as usize == token);
            if is_control || (may_bound && bounds()) {
                kinds.used[token] = CONTROL;
                changed.push(text.as_str());
            }
        }
        if !changed.is_empty() {
            let more = changed.len().saturating_sub(SHOWN);
            changed.truncate(SHOWN);
            tracing::warn!(
                tokens = changed.join(" "),
                more,
                "the file does not call these control tokens, but they are"
            );
        }
        kinds
    }

    fn stated(&self, token: usize) -> i32 {
        self.stated.get(token).copied().unwrap_or(NORMAL)
    }

    fn is_control(&self, token: usize) -> bool {
        self.used.get(token) == Some(&CONTROL)
    }
}

/// The tokenizer's scheme, whether it is SentencePiece, and whether text after a special token gets
/// a space in front.
fn scheme(
    header: &Header,
    tokens: &[String],
    left_out: &HashSet<&str>,
    kinds: &[i32],
) -> Result<(Box<dyn Scheme>, bool, bool), LoadError> {
    match header.text("tokenizer.ggml.model") {
        Some("gpt2") => {
            let merges = header
                .texts("tokenizer.ggml.merges")
                .ok_or_else(|| missing("tokenizer.ggml.merges"))?;
            let pre = header.text("tokenizer.ggml.pre").unwrap_or_else(|| guessed(header, tokens));
            Ok((Box::new(ByteLevelBpe::new(tokens, left_out, merges, pre)?), false, false))
        }
        Some("llama") => {
            let scores = header
                .floats("tokenizer.ggml.scores")
                .ok_or_else(|| missing("tokenizer.ggml.scores"))?;
            let scores = scores.get(..tokens.len()).unwrap_or(scores);
            let adds_prefix = header.bool("tokenizer.ggml.add_space_prefix").unwrap_or(true);
            let scheme = SentencePiece::new(tokens, scores, kinds, adds_prefix)?;
            Ok((Box::new(scheme), true, adds_prefix))
        }
        other => {
            let name = other.unwrap_or("without a name");
            Err(LoadError::unsupported(format!("tokenizer {name}; supported are gpt2 and llama")))
        }
    }
}

/// The pre-tokenizer of a file that names none, as early ones do: by tokens that only one family of
/// models has.
fn guessed(header: &Header, tokens: &[String]) -> &'static str {
    let has = |text: &str| tokens.iter().any(|token| token == text);
    let architecture = header.text("general.architecture").unwrap_or_default();
    let pre = if has("<|begin_of_text|>") && has("<|eot_id|>") {
        "llama-bpe"
    } else if architecture.starts_with("qwen2") || architecture.starts_with("qwen3") {
        "qwen2"
    } else if has("[INST]") && has("[AVAILABLE_TOOLS]") {
        "tekken"
    } else if has("<reponame>") || has("<repo_name>") || has("<gh_stars>") {
        "smollm"
    } else {
        "default"
    };
    tracing::warn!(taken = pre, "the file names no pre-tokenizer: how text is split is a guess");
    pre
}

fn missing(key: &str) -> LoadError {
    LoadError::corrupt(format!("{key} is missing"))
}

#[cfg(test)]
mod tests;
