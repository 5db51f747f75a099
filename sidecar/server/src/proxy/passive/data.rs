//! Names and numbers: models, versions, embeddings, tokens, scores.

use crate::proxy::shape::{Shape, is_identifier};
use serde_json::Value;

/// Fields of a body that says something of a model. One of them, with a text in it, and the body is
/// no data.
const WRITTEN: [&str; 15] = [
    "choices",
    "candidates",
    "completion",
    "content",
    "delta",
    "generated_text",
    "generation",
    "generations",
    "message",
    "output",
    "output_text",
    "outputs",
    "predictions",
    "response",
    "text",
];

/// Names of fields that data has; any other stays behind, whatever it holds.
const FIELDS: [&str; 87] = [
    "architecture",
    "block_size",
    "bos_token_id",
    "build",
    "build_info",
    "capabilities",
    "categories",
    "category_scores",
    "classes",
    "cached_tokens",
    "context_length",
    "count",
    "created",
    "created_at",
    "data",
    "default_generation_settings",
    "dense",
    "details",
    "digest",
    "display_name",
    "dtype",
    "embedding",
    "embedding_length",
    "embeddings",
    "eos_token_id",
    "expires_at",
    "families",
    "family",
    "first_id",
    "flagged",
    "format",
    "general",
    "has_more",
    "id",
    "index",
    "input_tokens",
    "is_generation",
    "is_sleeping",
    "item",
    "label",
    "labels",
    "last_id",
    "load_duration",
    "logits",
    "max_model_len",
    "max_total_tokens",
    "meta",
    "model",
    "model_alias",
    "model_dtype",
    "model_id",
    "model_path",
    "model_sha",
    "model_type",
    "models",
    "modified_at",
    "n_ctx",
    "n_ctx_train",
    "n_embd",
    "n_params",
    "n_vocab",
    "name",
    "num_classes",
    "object",
    "owned_by",
    "parameter_size",
    "parent",
    "permission",
    "probs",
    "prompt_eval_count",
    "prompt_tokens",
    "quantization_level",
    "relevance_score",
    "results",
    "root",
    "score",
    "scores",
    "server_load",
    "size",
    "size_vram",
    "status",
    "token_ids",
    "tokens",
    "total_duration",
    "total_slots",
    "total_tokens",
    "usage",
];

/// Words that such bodies hold as values.
const WORDS: Shape = Shape::Word(&[
    "auto",
    "base64",
    "cpu",
    "cuda",
    "embedding",
    "float",
    "gguf",
    "list",
    "llama",
    "llamacpp",
    "loaded",
    "model",
    "model_permission",
    "ok",
    "organization-owner",
    "ready",
    "rerank",
    "score",
    "sglang",
    "vllm",
]);

/// The body as it may leave; none where a model seems to have written it.
pub(super) fn keep(mut value: Value) -> Option<Value> {
    let has_written = |value: &Value| match value {
        Value::Object(fields) => WRITTEN.iter().any(|name| fields.get(*name).is_some_and(has_text)),
        _ => false,
    };
    let parts = value.as_array().map_or(std::slice::from_ref(&value), Vec::as_slice);
    if parts.iter().any(has_written) {
        return None;
    }
    filter(&mut value).then_some(value)
}

fn has_text(value: &Value) -> bool {
    match value {
        Value::String(text) => !text.is_empty(),
        Value::Array(values) => values.iter().any(has_text),
        Value::Object(fields) => fields.values().any(has_text),
        _ => false,
    }
}

/// Takes out what is neither a name nor a number; false where nothing stays.
fn filter(value: &mut Value) -> bool {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => true,
        Value::String(text) => {
            text.is_empty() || is_identifier(text) || WORDS.keep(value) || Shape::Floats.keep(value)
        }
        Value::Array(values) => {
            values.retain_mut(filter);
            true
        }
        Value::Object(fields) => {
            fields.retain(|name, value| FIELDS.contains(&name.as_str()) && filter(value));
            true
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn models_embeddings_and_tokens_leave() {
        for value in [
            json!({"object": "list", "data": [{"id": "meta-llama/Llama-3.1-8B", "object": "model",
                "created": 1, "owned_by": "vllm", "max_model_len": 4096}]}),
            json!({"object": "list", "data": [{"object": "embedding", "index": 0,
                "embedding": [0.25, -1.5]}], "model": "m-1", "usage": {"prompt_tokens": 3}}),
            json!({"count": 3, "max_model_len": 100, "tokens": [1, 2, 3]}),
            json!({"results": [{"index": 0, "relevance_score": 0.5}]}),
            json!([[0.5, 1.0]]),
        ] {
            assert_eq!(keep(value.clone()), Some(value));
        }
    }

    #[test]
    fn an_answer_in_the_place_of_data_does_not_leave() {
        for value in [
            json!({"choices": [{"message": {"content": "secret"}}]}),
            json!({"output": "secret"}),
            json!([{"generated_text": "secret"}]),
            json!({"text": ["secret"]}),
        ] {
            assert_eq!(keep(value.clone()), None, "{value}");
        }
        for value in [
            json!({
                "object": "list", "data": [{"id": "a secret", "note": "secret"}], "x": "secret"
            }),
            json!({"secret": 1}),
            json!(["secret"]),
            json!({"data": [{"embedding": "secret"}]}),
        ] {
            assert!(!keep(value).unwrap().to_string().contains("secret"));
        }
        assert_eq!(keep(json!("secret")), None);
    }
}
