//! The prompt of `completions`.

use crate::http::ApiError;
use crate::openai::{invalid, missing, unsupported};
use serde_json::{Map, Value, json};

/// Tokens of a response whose request does not say it, as in OpenAI's API.
pub(super) const DEFAULT_MAX_TOKENS: usize = 16;

/// A prompt without turns.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::chat) enum TextPrompt {
    /// Text, in which control tokens are such.
    Text(String),
    /// Tokens.
    Tokens(Vec<u32>),
}

/// Takes out what only `completions` has; what is left are fields of a chat without messages.
pub(super) fn take(fields: &mut Map<String, Value>) -> Result<TextPrompt, ApiError> {
    let prompt = fields.remove("prompt").ok_or_else(|| missing("prompt"))?;
    for (field, nothing) in [
        ("echo", json!(false)),
        ("suffix", json!("")),
        ("best_of", json!(1)),
        ("logprobs", json!(0)),
    ] {
        let value = fields.remove(field).filter(|value| !value.is_null());
        if value.is_some_and(|value| value != nothing) {
            return Err(unsupported(field, &format!("'{field}' is not supported by this server.")));
        }
    }
    for field in ["messages", "tools", "tool_choice", "parallel_tool_calls", "response_format"] {
        if fields.contains_key(field) {
            return Err(crate::openai::unknown(field));
        }
    }
    fields.insert("messages".to_owned(), json!([]));
    self::prompt(prompt)
}

fn prompt(prompt: Value) -> Result<TextPrompt, ApiError> {
    let odd = || invalid("prompt", "Invalid 'prompt': must be one text, or the tokens of one.");
    match prompt {
        Value::String(text) if !text.is_empty() => Ok(TextPrompt::Text(text)),
        Value::Array(items) => match items.as_slice() {
            [one @ (Value::String(_) | Value::Array(_))] => self::prompt(one.clone()),
            [] => Err(odd()),
            tokens => {
                let token = |token: &Value| u32::try_from(token.as_u64()?).ok();
                let tokens = tokens.iter().map(token).collect::<Option<_>>();
                tokens.map(TextPrompt::Tokens).ok_or_else(odd)
            }
        },
        _ => Err(odd()),
    }
}
