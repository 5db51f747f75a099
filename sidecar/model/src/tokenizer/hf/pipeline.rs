//! The steps that `tokenizer.json` describes: normalizer, pre-tokenizer, post-processor, decoder.

use serde_json::Value;

/// Whether the normalizer, pre-tokenizer or decoder has a part of this type.
pub(super) fn has_type(json: &Value, name: &str) -> bool {
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

/// The same tokenizer for text that does not begin a sequence; `None` where all text is treated the
/// same.
pub(super) fn without_prefix(json: &Value) -> Option<Value> {
    let mut json = json.clone();
    let pre_tokenizer = json.get_mut("pre_tokenizer")?;
    let mut parts: Vec<&mut Value> = match pre_tokenizer.get("pretokenizers").is_some() {
        true => pre_tokenizer.get_mut("pretokenizers")?.as_array_mut()?.iter_mut().collect(),
        false => vec![pre_tokenizer],
    };
    let scheme = parts.iter_mut().find_map(|part| part.get_mut("prepend_scheme"))?;
    (scheme.as_str() == Some("first")).then(|| *scheme = "never".into())?;
    Some(json)
}

/// Whether the post-processor puts this token in front of a text.
pub(super) fn begins_with(json: &Value, token: Option<&str>) -> bool {
    let Some(processor) = json.get("post_processor") else { return false };
    let parts = processor
        .get("processors")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_else(|| vec![processor.clone()]);
    let first = parts.iter().find_map(|part| part.pointer("/single/0/SpecialToken/id")?.as_str());
    first.is_some() && first == token
}
