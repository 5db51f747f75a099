//! The prompt of `completions`.

use super::unsupported::refused;
use crate::http::ApiError;
use crate::openai::{invalid, missing, unknown};
use serde_json::{Map, Value, json};

/// Tokens of a response whose request does not say it, as in OpenAI's API.
pub(super) const DEFAULT_MAX_TOKENS: usize = 16;

/// A prompt without turns.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::chat) enum TextPrompt {
    /// Text, in which control tokens are such.
    Text {
        text: String,
        /// Whether the token that begins a sequence is put in front where the model wants one.
        begins: bool,
    },
    /// Tokens.
    Tokens(Vec<u32>),
}

/// Takes out what only `completions` has; what is left are fields of a chat without messages.
pub(super) fn take(fields: &mut Map<String, Value>) -> Result<TextPrompt, ApiError> {
    let prompt = fields.remove("prompt").ok_or_else(|| missing("prompt"))?;
    // Ranked by likelihood, the best of as many as are told are all of them.
    if fields.get("best_of").is_some_and(|best| Some(best) == fields.get("n")) {
        fields.remove("best_of");
    }
    for (field, nothing) in [("suffix", json!("")), ("logprobs", json!(0))] {
        let value = fields.remove(field).filter(|value| !value.is_null());
        if value.is_some_and(|value| value != nothing && value != json!(false)) {
            return Err(refused(field, "leave it out, or ask /v1/chat/completions"));
        }
    }
    for field in ["messages", "tools"] {
        let value = fields.remove(field).filter(|value| !value.is_null());
        if value.is_some_and(|value| field == "messages" || value != json!([])) {
            return Err(unknown(field));
        }
    }
    for field in ["tool_choice", "parallel_tool_calls"] {
        fields.remove(field);
    }
    fields.insert("messages".to_owned(), json!([]));
    let begins = fields.get("add_special_tokens") != Some(&json!(false));
    self::prompt(prompt, begins)
}

fn prompt(prompt: Value, begins: bool) -> Result<TextPrompt, ApiError> {
    let odd = || invalid("prompt", "Invalid 'prompt': must be one text, or the tokens of one.");
    match prompt {
        Value::String(text) if !text.is_empty() => Ok(TextPrompt::Text { text, begins }),
        Value::Array(items) => match items.as_slice() {
            [one @ (Value::String(_) | Value::Array(_))] => self::prompt(one.clone(), begins),
            [] => Err(odd()),
            tokens => token_numbers(tokens).map(TextPrompt::Tokens).ok_or_else(odd),
        },
        _ => Err(odd()),
    }
}

/// Tokens by their numbers; `None` if any is none.
pub(in crate::chat) fn token_numbers(tokens: &[Value]) -> Option<Vec<u32>> {
    tokens.iter().map(|token| u32::try_from(token.as_u64()?).ok()).collect()
}
