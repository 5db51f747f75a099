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

/// Fields whose values are names. Any other text stays behind.
const NAMES: [&str; 32] = [
    "architecture",
    "build",
    "build_info",
    "created_at",
    "digest",
    "display_name",
    "dtype",
    "expires_at",
    "families",
    "family",
    "first_id",
    "format",
    "id",
    "label",
    "labels",
    "last_id",
    "model",
    "model_alias",
    "model_dtype",
    "model_id",
    "model_path",
    "model_sha",
    "model_type",
    "modified_at",
    "name",
    "object",
    "owned_by",
    "parameter_size",
    "parent",
    "quantization_level",
    "root",
    "version",
];

/// Further fields that data has; all others stay behind, whatever they hold.
const FIELDS: [&str; 56] = [
    "block_size",
    "bos_token_id",
    "cached_tokens",
    "capabilities",
    "categories",
    "category_scores",
    "classes",
    "context_length",
    "count",
    "created",
    "data",
    "default_generation_settings",
    "dense",
    "details",
    "embedding",
    "embedding_length",
    "embeddings",
    "eos_token_id",
    "flagged",
    "general",
    "has_more",
    "index",
    "input_tokens",
    "is_generation",
    "is_sleeping",
    "item",
    "load_duration",
    "logits",
    "max_model_len",
    "max_total_tokens",
    "meta",
    "models",
    "n_ctx",
    "n_ctx_train",
    "n_embd",
    "n_params",
    "n_vocab",
    "num_classes",
    "permission",
    "probs",
    "prompt_eval_count",
    "prompt_tokens",
    "relevance_score",
    "results",
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

/// The body as it may leave, by which names are known; none where a model seems to have written it.
pub(super) fn keep(mut value: Value, is_known: &dyn Fn(&str) -> bool) -> Option<Value> {
    (!is_written(&value) && filter(&mut value, false, is_known)).then_some(value)
}

/// Whether a model seems to have written it.
pub(in crate::proxy) fn is_written(value: &Value) -> bool {
    let has_written = |value: &Value| {
        let Value::Object(fields) = value else { return false };
        // A token, or a document with its score: that text is the client's, and stays behind.
        let is_data =
            ["id", "score"].iter().any(|name| fields.get(*name).is_some_and(Value::is_number));
        let names = WRITTEN.iter().filter(|name| !(is_data && **name == "text"));
        names.into_iter().any(|name| fields.get(*name).is_some_and(has_text))
    };
    let parts = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
    parts.iter().any(has_written)
}

fn has_text(value: &Value) -> bool {
    match value {
        Value::String(text) => !text.is_empty(),
        Value::Array(values) => values.iter().any(has_text),
        Value::Object(fields) => fields.values().any(has_text),
        _ => false,
    }
}

/// Takes out what is neither a name, where one belongs, nor a number; false where nothing stays.
fn filter(value: &mut Value, is_name: bool, is_known: &dyn Fn(&str) -> bool) -> bool {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => true,
        Value::String(text) => {
            text.is_empty()
                || (is_name && (is_identifier(text) || is_known(text)))
                || WORDS.keep(value)
                || Shape::Floats.keep(value)
        }
        Value::Array(values) => {
            values.retain_mut(|value| filter(value, is_name, is_known));
            true
        }
        Value::Object(fields) => {
            fields.retain(|name, value| {
                let is_name = NAMES.contains(&name.as_str());
                (is_name || FIELDS.contains(&name.as_str())) && filter(value, is_name, is_known)
            });
            true
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn kept(value: Value) -> Option<Value> {
        keep(value, &|_| false)
    }

    #[test]
    fn a_model_that_was_asked_for_is_listed_whatever_its_name() {
        let list = json!({"object": "list", "data": [{"id": "mistral", "object": "model"}]});
        assert_eq!(keep(list.clone(), &|name| name == "mistral"), Some(list.clone()));
        assert!(!kept(list).unwrap().to_string().contains("mistral"));
    }

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
            json!({"version": "0.11.0"}),
            json!([{"id": 1}, {"index": 0, "score": 0.5}]),
        ] {
            assert_eq!(kept(value.clone()), Some(value));
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
            assert_eq!(kept(value.clone()), None, "{value}");
        }
        for value in [
            json!({
                "object": "list", "data": [{"id": "a secret", "note": "secret"}], "x": "secret"
            }),
            json!({"secret": 1}),
            json!([{"id": 1, "text": "secret"}, {"index": 0, "score": 0.5, "text": "secret"}]),
            json!(["secret"]),
            json!({"data": [{"embedding": "secret"}]}),
        ] {
            assert!(!kept(value).unwrap().to_string().contains("secret"));
        }
        assert_eq!(kept(json!("secret")), None);
        // Names stand only where names belong.
        for value in [json!(["secret-1"]), json!({"tokens": ["secret-1"], "data": "secret-1"})] {
            assert!(!kept(value).unwrap().to_string().contains("secret"));
        }
    }
}
