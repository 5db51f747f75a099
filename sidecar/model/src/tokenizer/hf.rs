//! A tokenizer from `tokenizer.json` and the files beside it, which describe its special tokens.

mod added;
mod pipeline;
mod scheme;

use super::parts::Parts;
use super::special::{SpecialTokens, TokenMatcher, is_control_text, shown_in_answers, turn_ends};
use super::vocabulary::Vocabulary;
use super::{bpe, spm};
use crate::error::LoadError;
use crate::load::hf::{HfTokenizerFiles, parse_json};
use added::AddedToken;
use scheme::HfScheme;
use serde_json::Value;
use std::collections::HashMap;

/// Most tokens of a vocabulary.
const MAX_TOKENS: usize = 1 << 24;

/// Reads the tokenizer out of the files of a folder, for weights that have a row for each of `rows`
/// tokens.
pub(super) fn read(files: &HfTokenizerFiles, rows: usize) -> Result<Parts, LoadError> {
    let mut json = parse_json("tokenizer.json", &files.tokenizer)?;
    match json.pointer("/model/type").and_then(Value::as_str) {
        Some("BPE") | None => {}
        Some(other) => {
            return Err(unsupported(&format!("a model of type {other}")));
        }
    }
    let is_byte_level = pipeline::has_type(&json, "ByteLevel");
    let is_spm =
        pipeline::has_type(&json, "ByteFallback") || pipeline::has_type(&json, "Metaspace");
    if !is_byte_level && !is_spm {
        return Err(unsupported("neither byte-level nor SentencePiece text"));
    }
    let added = added::take(&mut json)?;
    let limit = rows.min(MAX_TOKENS);
    let (mut added, beyond): (Vec<AddedToken>, Vec<AddedToken>) =
        added.into_iter().partition(|token| (token.id as usize) < limit);
    if !beyond.is_empty() {
        tracing::warn!(
            tokens = beyond.len(),
            rows,
            "the tokenizer has tokens that the weights do not know: they are left out"
        );
    }
    let texts = texts(&json, &added, limit, is_byte_level)?;
    let [bos, eos] = [("bos_token", "bos_token_id"), ("eos_token", "eos_token_id")]
        .map(|(text, id)| boundary_text(files, &texts, text, id));
    let named_ends = named_ends(files, &texts, eos.as_deref());
    let ends_turn = turn_ends(&texts);
    let is_shown = shown_in_answers(&texts);
    let mut special = vec![None; texts.len()];
    let mut is_silent = vec![false; texts.len()];
    for token in &mut added {
        let id = token.id as usize;
        let ends = named_ends.contains(&token.id) || ends_turn(&token.content);
        is_silent[id] = (token.special || ends) && !is_shown(&token.content);
        // Finetunes often add theirs as plain ones.
        let bounds = ends || bos.as_ref() == Some(&token.content);
        token.special |= bounds || is_control_text(&token.content);
        special[id] = Some(token.special);
    }
    let mut vocabulary = Vocabulary::with_capacity(texts.len());
    let mut byte_tokens = vec![None; 256];
    for (id, text) in (0_u32..).zip(&texts) {
        let bytes = vocabulary.push(|bytes| match special[id as usize] {
            Some(_) if is_silent[id as usize] => {}
            Some(_) => bytes.extend(text.as_bytes()),
            None if is_byte_level => bpe::decode(text, bytes),
            None => spm::decode(text, true, bytes),
        })?;
        if let [byte] = *bytes {
            byte_tokens[usize::from(byte)].get_or_insert(id);
        }
    }
    let scheme = HfScheme::new(&json, byte_tokens, limit)?;
    let adds_bos = files.config.get("add_bos_token").and_then(Value::as_bool);
    let mut edges_by_id = HashMap::with_capacity(added.len());
    for token in &added {
        edges_by_id.entry(token.id).or_insert(token.edges);
    }
    let edges = |id: u32| edges_by_id.get(&id).copied().unwrap_or_default();
    let control = TokenMatcher::new(&texts, |id| special[id] == Some(true)).with_edges(edges);
    let special = SpecialTokens {
        shown: control.with_text(is_shown),
        control,
        user_defined: TokenMatcher::new(&texts, |id| special[id] == Some(false)).with_edges(edges),
        end_tokens: end_tokens(named_ends, &added, ends_turn),
        bos: bos.as_deref().and_then(|bos| id_of(&texts, bos)),
        adds_bos: adds_bos.unwrap_or_else(|| pipeline::begins_with(&json, bos.as_deref())),
        boundary_texts: [bos, eos],
        prefix_after: false,
    };
    Ok(Parts { scheme: Box::new(scheme), vocabulary, special })
}

/// The texts of all tokens by number, at most `limit` of them; empty where there is no token.
fn texts(
    json: &Value,
    added: &[AddedToken],
    limit: usize,
    is_byte_level: bool,
) -> Result<Vec<String>, LoadError> {
    let words = json
        .pointer("/model/vocab")
        .and_then(Value::as_object)
        .ok_or_else(|| corrupt("has no vocabulary"))?;
    let mut texts: Vec<String> = Vec::new();
    let mut set = |id: Option<u64>, text: &str| match id.and_then(|id| usize::try_from(id).ok()) {
        Some(id) if id < limit => {
            texts.resize(texts.len().max(id + 1), String::new());
            text.clone_into(&mut texts[id]);
            Ok(())
        }
        // The weights have no row for it.
        Some(_) => Ok(()),
        None => Err(corrupt(&format!("has a token {text:?} without a number"))),
    };
    words.iter().try_for_each(|(text, id)| set(id.as_u64(), text))?;
    for token in added {
        let text = match is_byte_level || token.special {
            true => token.content.clone(),
            // SentencePiece writes a space so; in text it is a space.
            false => token.content.replace('▁', " "),
        };
        set(Some(u64::from(token.id)), &text)?;
    }
    Ok(texts)
}

/// Tokens that the files name as ends.
fn named_ends(files: &HfTokenizerFiles, texts: &[String], eos: Option<&str>) -> Vec<u32> {
    let mut tokens = listed(&files.model, "eos_token_id", texts);
    tokens.extend(listed(&files.generation, "eos_token_id", texts));
    tokens.extend(eos.and_then(|eos| id_of(texts, eos)));
    tokens
}

/// Tokens that end a response, in ascending order.
fn end_tokens(
    mut tokens: Vec<u32>,
    added: &[AddedToken],
    ends_turn: impl Fn(&str) -> bool,
) -> Vec<u32> {
    let ends = |token: &&AddedToken| ends_turn(&token.content);
    tokens.extend(added.iter().filter(ends).map(|token| token.id));
    tokens.sort_unstable();
    tokens.dedup();
    tokens
}

/// Text of the token that begins or ends a sequence: by its text in `tokenizer_config.json`, or
/// else by its number in `config.json`.
fn boundary_text(
    files: &HfTokenizerFiles,
    texts: &[String],
    text_key: &str,
    id_key: &str,
) -> Option<String> {
    // Either the text itself, or an object that also says how it is matched.
    let named = files.config.get(text_key);
    let text = named.and_then(|named| named.as_str().or_else(|| named.get("content")?.as_str()));
    text.map(str::to_owned).or_else(|| {
        let ids = listed(&files.model, id_key, texts);
        ids.first().map(|&id| texts[id as usize].clone())
    })
}

/// Tokens that a file lists under a key, as a number or an array of numbers; only those that exist.
fn listed(file: &Value, key: &str, texts: &[String]) -> Vec<u32> {
    let existing = |id: u64| {
        u32::try_from(id)
            .ok()
            .filter(|&id| texts.get(id as usize).is_some_and(|text| !text.is_empty()))
    };
    match file.get(key) {
        Some(Value::Array(ids)) => {
            ids.iter().filter_map(Value::as_u64).filter_map(existing).collect()
        }
        Some(id) => id.as_u64().and_then(existing).into_iter().collect(),
        None => Vec::new(),
    }
}

fn id_of(texts: &[String], text: &str) -> Option<u32> {
    (0_u32..).zip(texts).find(|(_, known)| *known == text).map(|(id, _)| id)
}

fn corrupt(what: &str) -> LoadError {
    LoadError::corrupt(format!("tokenizer.json {what}"))
}

fn unsupported(what: &str) -> LoadError {
    LoadError::unsupported(format!(
        "tokenizer.json with {what}: take a model whose tokenizer is BPE, byte-level or \
         SentencePiece"
    ))
}
