//! Log probabilities of tokens. They leave where their tokens are those of the text beside them;
//! alternatives, which nobody scores, never do.

use crate::proxy::shape::Shape;
use serde_json::{Value, json};

/// The log probabilities of a choice that says `text`, as far as they may leave.
pub(super) fn keep(value: Value, text: &str) -> Option<Value> {
    if value.get("tokens").is_some() { completions(value, text) } else { chat(value, text) }
}

/// Those of `chat/completions`.
fn chat(mut value: Value, text: &str) -> Option<Value> {
    let tokens = value.get_mut("content")?.as_array_mut()?;
    let (mut spelled, mut kept) = (Vec::new(), Vec::new());
    for token in tokens {
        let bytes = bytes(token)?;
        kept.push(json!({
            "token": String::from_utf8_lossy(&bytes),
            "logprob": Shape::Number.of(token.get_mut("logprob")?.take()),
            "bytes": bytes,
            "top_logprobs": [],
        }));
        spelled.extend(bytes);
    }
    let content = (spelled == text.as_bytes()).then_some(kept)?;
    Some(json!({ "content": content, "refusal": null }))
}

/// What a token stands for: a part of a character, perhaps.
fn bytes(token: &Value) -> Option<Vec<u8>> {
    match token.get("bytes") {
        Some(Value::Array(bytes)) => {
            bytes.iter().map(|byte| u8::try_from(byte.as_u64()?).ok()).collect()
        }
        _ => Some(token.get("token")?.as_str()?.as_bytes().to_vec()),
    }
}

/// Those of `completions`.
fn completions(mut value: Value, text: &str) -> Option<Value> {
    let tokens = value.get("tokens")?.as_array()?;
    let tokens = tokens.iter().map(Value::as_str).collect::<Option<Vec<_>>>()?;
    if tokens.concat() != text {
        return None;
    }
    let tokens = json!(tokens);
    const NUMBERS: Shape = Shape::List(&Shape::Number);
    let mut numbers =
        |field: &str| NUMBERS.of(value.get_mut(field).map(Value::take).unwrap_or_default());
    let (token_logprobs, text_offset) = (numbers("token_logprobs"), numbers("text_offset"));
    Some(json!({
        "tokens": tokens, "token_logprobs": token_logprobs, "top_logprobs": null,
        "text_offset": text_offset,
    }))
}
