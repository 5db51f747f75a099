//! Tokens that were added to a trained vocabulary.

use crate::error::LoadError;
use crate::tokenizer::special::Edges;
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
pub(super) struct AddedToken {
    pub(super) id: u32,
    pub(super) content: String,
    /// Whether it is a control token.
    #[serde(default)]
    pub(super) special: bool,
    /// What it does to the text around it.
    #[serde(flatten)]
    pub(super) edges: Edges,
}

/// Takes the added tokens out of `tokenizer.json`.
///
/// # Errors
/// They are malformed.
pub(super) fn take(json: &mut Value) -> Result<Vec<AddedToken>, LoadError> {
    json.get_mut("added_tokens")
        .map(Value::take)
        .filter(|added| !added.is_null())
        .map_or(Ok(Vec::new()), serde_json::from_value)
        .map_err(|error| {
            LoadError::corrupt(format!("tokenizer.json has malformed added tokens: {error}"))
        })
}
