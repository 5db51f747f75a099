//! Tokens that were added to a trained vocabulary.

use crate::error::LoadError;
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
pub(super) struct AddedToken {
    pub(super) id: u32,
    pub(super) content: String,
    /// Whether it is a control token.
    #[serde(default)]
    pub(super) special: bool,
    #[serde(default)]
    lstrip: bool,
    #[serde(default)]
    rstrip: bool,
    #[serde(default)]
    single_word: bool,
}

/// Takes the added tokens out of `tokenizer.json`.
///
/// # Errors
/// They are malformed, or one also consumes or depends on the text around it.
pub(super) fn take(json: &mut Value) -> Result<Vec<AddedToken>, LoadError> {
    let added: Vec<AddedToken> = json
        .get_mut("added_tokens")
        .map(Value::take)
        .map_or(Ok(Vec::new()), serde_json::from_value)
        .map_err(|error| {
            LoadError::corrupt(format!("tokenizer.json has malformed added tokens: {error}"))
        })?;
    match added.iter().find(|token| token.lstrip || token.rstrip || token.single_word) {
        Some(token) => Err(LoadError::unsupported(format!(
            "tokenizer.json with the added token {:?}, which depends on the text around it",
            token.content
        ))),
        None => Ok(added),
    }
}
