//! Choices and chunks of `chat/completions` and `completions`.

use crate::openai::{Choice, ChunkChoice, Delta, FinishReason, Message, TextChoice, Usage};
use crate::proxy::answer::Naming;
use crate::proxy::path::Api;
use serde_json::{Map, Value, json};

/// What all chunks of a response have in common, as the upstream server writes it, and as the guard
/// does where the server has not said it.
#[derive(Debug)]
pub(super) struct ChunkHead(Map<String, Value>);

impl ChunkHead {
    pub(super) fn new(naming: &Naming) -> Self {
        let object = match naming.api {
            Api::Chat => "chat.completion.chunk",
            Api::Completions => "text_completion",
            Api::Responses => "response",
            Api::Messages => "message",
        };
        let created = jiff::Timestamp::now().as_second();
        let head =
            json!({ "id": naming.id, "object": object, "created": created, "model": naming.model });
        let Value::Object(fields) = head else { return Self(Map::new()) };
        Self(fields)
    }

    /// Takes the names that a payload has. Some servers begin with a chunk that has none.
    pub(super) fn learn(&mut self, payload: &Value) {
        for field in ["id", "created", "created_at", "model", "system_fingerprint"] {
            let is_said = |value: &&Value| {
                value.as_u64().is_some_and(|number| number > 0)
                    || value.as_str().is_some_and(|text| !text.is_empty())
            };
            if let Some(value) = payload.get(field).filter(is_said) {
                self.0.insert(field.to_owned(), value.clone());
            }
        }
    }

    pub(super) fn get(&self, field: &str) -> Value {
        self.0.get(field).cloned().unwrap_or_default()
    }

    /// The last chunks of a choice that was stopped.
    pub(super) fn end(&self, api: Api, index: usize, text: Option<&str>) -> Vec<Value> {
        let redaction = text.map(|text| self.chunk(&chunk(api, index, text, None)));
        let end = self.chunk(&chunk(api, index, "", Some(FinishReason::ContentFilter)));
        redaction.into_iter().chain([end]).collect()
    }

    fn chunk(&self, choice: &Value) -> Value {
        let mut fields = self.0.clone();
        fields.insert("choices".to_owned(), json!([choice]));
        Value::Object(fields)
    }
}

fn chunk(api: Api, index: usize, text: &str, finish_reason: Option<FinishReason>) -> Value {
    if api == Api::Completions {
        return json!(TextChoice { index, text, logprobs: (), finish_reason });
    }
    let delta = match finish_reason {
        None => Delta::content(text.to_owned()),
        Some(_) => Delta::default(),
    };
    json!(ChunkChoice { finish_reason, ..ChunkChoice::new(index, delta) })
}

/// A whole choice that a policy stopped, with what stands in its place.
pub(super) fn whole(api: Api, index: usize, text: &str) -> Value {
    let finish_reason = FinishReason::ContentFilter;
    if api == Api::Completions {
        return json!(TextChoice { index, text, logprobs: (), finish_reason: Some(finish_reason) });
    }
    json!(Choice {
        index,
        message: Message::new(text.to_owned(), Vec::new()),
        logprobs: None,
        finish_reason,
        personaguard: None,
    })
}

/// A whole body of such choices.
pub(super) fn body(naming: &Naming, choices: usize, text: &str, prompt_tokens: usize) -> Value {
    let object = match naming.api {
        Api::Completions => "text_completion",
        _ => "chat.completion",
    };
    let choices: Vec<_> = (0..choices).map(|index| whole(naming.api, index, text)).collect();
    json!({
        "id": naming.id, "object": object, "created": jiff::Timestamp::now().as_second(),
        "model": naming.model, "choices": choices, "usage": Usage::new(prompt_tokens, 0),
    })
}
