//! A tokenizer from a hub's `tokenizer.json`, by the `tokenizers` crate, with what its neighbours
//! say of special tokens.

use super::{Scheme, Tokenizer, Whole, bpe, spm};
use crate::model::LoadError;
use serde::Deserialize;
use serde_json::Value;

/// Files of a folder that concern the tokenizer.
pub(crate) struct Files {
    /// `tokenizer.json`.
    pub(crate) tokenizer: Vec<u8>,
    /// `tokenizer_config.json`, or null.
    pub(crate) config: Value,
    /// `generation_config.json`, or null.
    pub(crate) generation: Value,
    /// `config.json`.
    pub(crate) model: Value,
}

impl Files {
    /// The chat template in `tokenizer_config.json`: a text, or the one named `default` in a list.
    pub(crate) fn template(&self) -> Option<String> {
        match self.config.get("chat_template")? {
            Value::String(template) => Some(template.clone()),
            Value::Array(named) => named
                .iter()
                .find(|entry| entry.get("name").and_then(Value::as_str) == Some("default"))
                .and_then(|entry| entry.get("template")?.as_str().map(str::to_owned)),
            _ => None,
        }
    }
}

/// Splits and merges what lies between added tokens, which are found before.
pub(super) struct Hub {
    /// For text that begins a sequence.
    first: tokenizers::Tokenizer,
    /// For other text, where that is another: without the space that some put in front.
    rest: Option<tokenizers::Tokenizer>,
    /// Token of each single byte, for text on which the tokenizer fails.
    bytes: Vec<Option<u32>>,
}

impl Hub {
    pub(super) fn encode(&self, text: &str, first: bool, tokens: &mut Vec<u32>) {
        let inner = self.rest.as_ref().filter(|_| !first).unwrap_or(&self.first);
        match inner.encode_fast(text, false) {
            Ok(encoding) => tokens.extend_from_slice(encoding.get_ids()),
            Err(_) => tokens.extend(text.bytes().filter_map(|byte| self.bytes[usize::from(byte)])),
        }
    }
}

#[derive(Deserialize)]
struct Added {
    id: u32,
    content: String,
    #[serde(default)]
    special: bool,
    #[serde(default)]
    lstrip: bool,
    #[serde(default)]
    rstrip: bool,
    #[serde(default)]
    single_word: bool,
}

impl Tokenizer {
    /// `vocabulary` is how many tokens the weights know: added tokens beyond are left out.
    pub(crate) fn from_hub(files: &Files, vocabulary: usize) -> Result<Self, LoadError> {
        let corrupt = |what: String| LoadError::Corrupt { what: format!("tokenizer.json {what}") };
        let unsupported =
            |what: String| LoadError::Unsupported { what: format!("tokenizer.json with {what}") };
        let mut json: Value = serde_json::from_slice(&files.tokenizer)
            .map_err(|error| corrupt(format!("is no JSON: {error}")))?;
        match json.pointer("/model/type").and_then(Value::as_str) {
            Some("BPE") | None => {}
            Some(other) => {
                return Err(unsupported(format!("a model of type {other}; supported is BPE")));
            }
        }
        let bytewise = has_type(&json, "ByteLevel");
        if !bytewise && !has_type(&json, "ByteFallback") && !has_type(&json, "Metaspace") {
            return Err(unsupported("neither byte-level nor SentencePiece text".into()));
        }
        let added: Vec<Added> = json
            .get_mut("added_tokens")
            .map(Value::take)
            .map_or(Ok(Vec::new()), serde_json::from_value)
            .map_err(|error| {
                corrupt(format!("has added tokens that are not described: {error}"))
            })?;
        if let Some(token) =
            added.iter().find(|token| token.lstrip || token.rstrip || token.single_word)
        {
            return Err(unsupported(format!(
                "the added token {:?}, which takes in what is around it",
                token.content
            )));
        }
        let words = json
            .pointer("/model/vocab")
            .and_then(Value::as_object)
            .ok_or_else(|| corrupt("has no vocabulary".into()))?;
        let most = vocabulary.min(1 << 24);
        let mut texts: Vec<String> = Vec::new();
        let mut set = |id: Option<u64>, text: &str| match id.and_then(|id| usize::try_from(id).ok())
        {
            Some(id) if id < most => {
                texts.resize(texts.len().max(id + 1), String::new());
                text.clone_into(&mut texts[id]);
                Ok(())
            }
            _ => Err(corrupt(format!("has a token {text:?} that the weights do not know"))),
        };
        words.iter().try_for_each(|(text, id)| set(id.as_u64(), text))?;
        let added: Vec<Added> =
            added.into_iter().filter(|token| (token.id as usize) < most).collect();
        let shown = |token: &Added| match bytewise || token.special {
            true => token.content.clone(),
            // Text has spaces where SentencePiece has this.
            false => token.content.replace('▁', " "),
        };
        added.iter().try_for_each(|token| set(Some(u64::from(token.id)), &shown(token)))?;

        let mut special = vec![None; texts.len()];
        added.iter().for_each(|token| special[token.id as usize] = Some(token.special));
        let (mut bytes, mut ends) = (Vec::new(), Vec::with_capacity(texts.len()));
        let mut single = vec![None; 256];
        for (id, text) in (0_u32..).zip(&texts) {
            let start = bytes.len();
            match special[id as usize] {
                Some(true) => {}
                Some(false) => bytes.extend(text.as_bytes()),
                None if bytewise => bpe::decode(text, &mut bytes),
                None => spm::decode(text, true, &mut bytes),
            }
            if let [byte] = bytes[start..] {
                single[usize::from(byte)].get_or_insert(id);
            }
            ends.push(
                u32::try_from(bytes.len()).map_err(|_| corrupt("holds 4 GiB of text".into()))?,
            );
        }

        let id_of =
            |text: &str| (0_u32..).zip(&texts).find(|(_, known)| *known == text).map(|(id, _)| id);
        // A text, or an object with the text and how it is found.
        let boundary = |key: &str| -> Option<String> {
            let named = files.config.get(key)?;
            named.as_str().or_else(|| named.get("content")?.as_str()).map(str::to_owned)
        };
        let known = |id: u64| {
            u32::try_from(id)
                .ok()
                .filter(|&id| texts.get(id as usize).is_some_and(|text| !text.is_empty()))
        };
        let listed = |file: &Value, key: &str| -> Vec<u32> {
            match file.get(key) {
                Some(Value::Array(ids)) => {
                    ids.iter().filter_map(Value::as_u64).filter_map(known).collect()
                }
                Some(id) => id.as_u64().and_then(known).into_iter().collect(),
                None => Vec::new(),
            }
        };
        let text_of = |id: u32| texts[id as usize].clone();
        let boundary_texts =
            [("bos_token", "bos_token_id"), ("eos_token", "eos_token_id")].map(|(text, id)| {
                boundary(text).or_else(|| listed(&files.model, id).first().copied().map(text_of))
            });
        let mut end_tokens = listed(&files.model, "eos_token_id");
        end_tokens.extend(listed(&files.generation, "eos_token_id"));
        end_tokens.extend(boundary_texts[1].as_deref().and_then(id_of));
        let closes =
            |token: &&Added| token.special && super::CLOSING.contains(&token.content.as_str());
        end_tokens.extend(added.iter().filter(closes).map(|token| token.id));
        end_tokens.sort_unstable();
        end_tokens.dedup();
        let add_bos = files.config.get("add_bos_token").and_then(Value::as_bool);
        let add_bos = add_bos.unwrap_or_else(|| begins_with(&json, boundary_texts[0].as_deref()));

        let scheme = Hub {
            first: inner(&json)?,
            rest: without_prefix(&json).as_ref().map(inner).transpose()?,
            bytes: single,
        };
        Ok(Self {
            scheme: Scheme::Hub(Box::new(scheme)),
            bytes,
            ends,
            control: Whole::new(&texts, |id| special[id] == Some(true)),
            user_defined: Whole::new(&texts, |id| special[id] == Some(false)),
            end_tokens,
            bos: boundary_texts[0].as_deref().and_then(id_of),
            add_bos,
            boundary_texts,
        })
    }
}

/// The tokenizer for plain text: nothing is found, added or cut.
fn inner(json: &Value) -> Result<tokenizers::Tokenizer, LoadError> {
    let mut json = json.clone();
    if let Some(json) = json.as_object_mut() {
        for key in ["post_processor", "truncation", "padding"] {
            json.insert(key.into(), Value::Null);
        }
        json.insert("added_tokens".into(), Value::Array(Vec::new()));
    }
    tokenizers::Tokenizer::from_bytes(json.to_string()).map_err(|error| LoadError::Unsupported {
        what: format!("tokenizer.json as it is: {error}"),
    })
}

/// The same for text that does not begin a sequence, where the file tells the two apart.
fn without_prefix(json: &Value) -> Option<Value> {
    let mut json = json.clone();
    let pre = json.get_mut("pre_tokenizer")?;
    let mut parts: Vec<&mut Value> = match pre.get("pretokenizers").is_some() {
        true => pre.get_mut("pretokenizers")?.as_array_mut()?.iter_mut().collect(),
        false => vec![pre],
    };
    let scheme = parts.iter_mut().find_map(|part| part.get_mut("prepend_scheme"))?;
    (scheme.as_str() == Some("first")).then(|| *scheme = "never".into())?;
    Some(json)
}

/// Whether the normalizer, pre-tokenizer or decoder has a part of this type.
fn has_type(json: &Value, name: &str) -> bool {
    fn find(value: &Value, name: &str) -> bool {
        match value {
            Value::Object(map) => {
                map.get("type").and_then(Value::as_str) == Some(name)
                    || map.values().any(|value| find(value, name))
            }
            Value::Array(values) => values.iter().any(|value| find(value, name)),
            _ => false,
        }
    }
    ["normalizer", "pre_tokenizer", "decoder"]
        .iter()
        .filter_map(|key| json.get(key))
        .any(|part| find(part, name))
}

/// Whether the post-processor puts this token in front of a text.
fn begins_with(json: &Value, token: Option<&str>) -> bool {
    let Some(processor) = json.get("post_processor") else { return false };
    let parts = processor
        .get("processors")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_else(|| vec![processor.clone()]);
    let first = parts.iter().find_map(|part| part.pointer("/single/0/SpecialToken/id")?.as_str());
    first.is_some() && first == token
}
