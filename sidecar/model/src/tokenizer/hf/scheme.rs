//! The `tokenizers` crate, for the text between special tokens.

use super::pipeline::without_prefix;
use crate::error::LoadError;
use crate::tokenizer::scheme::Scheme;
use serde_json::Value;
use tokenizers::Tokenizer;

/// Splits the text between special tokens, which are found before.
pub(super) struct HfScheme {
    /// For text that begins a sequence.
    first: Tokenizer,
    /// For other text, where that is treated differently: without a space in front.
    rest: Option<Tokenizer>,
    /// The token of each single byte, for text on which the tokenizer fails.
    byte_tokens: Vec<Option<u32>>,
    /// Tokens from this one on are unknown to the weights.
    limit: usize,
}

impl HfScheme {
    /// From `tokenizer.json`, without its added tokens.
    pub(super) fn new(
        json: &Value,
        byte_tokens: Vec<Option<u32>>,
        limit: usize,
    ) -> Result<Self, LoadError> {
        Ok(Self {
            limit,
            first: plain_text_tokenizer(json)?,
            rest: without_prefix(json).as_ref().map(plain_text_tokenizer).transpose()?,
            byte_tokens,
        })
    }
}

impl Scheme for HfScheme {
    fn encode(&self, text: &str, first: bool, tokens: &mut Vec<u32>) {
        let tokenizer = self.rest.as_ref().filter(|_| !first).unwrap_or(&self.first);
        let encoding = tokenizer.encode_fast(text, false).ok();
        let known = |ids: &[u32]| ids.iter().all(|&id| (id as usize) < self.limit);
        match encoding.as_ref().map(tokenizers::Encoding::get_ids).filter(|ids| known(ids)) {
            Some(ids) => tokens.extend_from_slice(ids),
            None => {
                tokens.extend(text.bytes().filter_map(|byte| self.byte_tokens[usize::from(byte)]));
            }
        }
    }
}

/// The tokenizer without all that it does beyond splitting text: it finds no special tokens, adds
/// none, and truncates nothing.
fn plain_text_tokenizer(json: &Value) -> Result<Tokenizer, LoadError> {
    let mut json = json.clone();
    if let Some(json) = json.as_object_mut() {
        for key in ["post_processor", "truncation", "padding"] {
            json.insert(key.into(), Value::Null);
        }
        json.insert("added_tokens".into(), Value::Array(Vec::new()));
    }
    Tokenizer::from_bytes(json.to_string()).map_err(|error| {
        LoadError::unsupported(format!(
            "tokenizer.json has a step that is not known here: {error}; give the model as a GGUF \
             file"
        ))
    })
}
