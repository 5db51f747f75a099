use super::*;
use serde_json::json;

fn scale(changes: &Value) -> Result<Scale, String> {
    let mut config = json!({"peft_type": "LORA", "r": 4, "lora_alpha": 8});
    for (key, value) in changes.as_object().unwrap() {
        config[key] = value.clone();
    }
    Scale::read(&config).map_err(|error| error.to_string())
}

#[test]
fn item_19_patterns_name_modules_as_in_peft() {
    let module = "model.layers.1.self_attn.q_proj";
    for (pattern, matches) in [
        ("q_proj", true),
        ("self_attn.q_proj", true),
        ("model.layers.1.self_attn.q_proj", true),
        ("^model.layers.1.self_attn.q_proj", true),
        (r"model\.layers\.1\.self_attn\.q_proj", true),
        ("proj", false),
        ("v_proj", false),
        ("layers.1", false),
        ("^self_attn.q_proj", false),
        ("model.layers.11.self_attn.q_proj", false),
    ] {
        let found = scale(&json!({"alpha_pattern": {pattern: 2}})).unwrap();
        let expected = if matches { 0.5 } else { 2.0 };
        assert!((found.of(module, 4) - expected).abs() < 1e-6, "{pattern}");
        let ranks = scale(&json!({"rank_pattern": {pattern: 2}})).unwrap();
        assert_eq!(ranks.check_rank(module, 2).is_ok(), matches, "{pattern}");
        assert_eq!(ranks.check_rank(module, 4).is_ok(), !matches, "{pattern}");
    }
}

#[test]
fn item_19_a_pattern_that_is_a_regular_expression_is_refused_by_name() {
    let message = scale(&json!({"alpha_pattern": {r".*layers\.[0-3].*": 2}})).err().unwrap();
    assert!(message.contains("alpha_pattern") && message.contains("[0-3]"), "{message}");
    assert!(message.contains("merge_and_unload"), "{message}");
    let number = scale(&json!({"alpha_pattern": {"q_proj": "two"}})).err().unwrap();
    assert!(number.contains("alpha_pattern"), "{number}");
    // A rank is what its tensors say.
    assert!(scale(&json!({"rank_pattern": {r".*layers\.[0-3].*": 2}})).is_ok());
}
