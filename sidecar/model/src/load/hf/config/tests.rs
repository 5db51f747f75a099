use super::*;
use serde_json::json;

fn with(changes: &Value) -> Result<Config, LoadError> {
    let mut json = json!({
        "model_type": "llama", "hidden_size": 64, "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "num_hidden_layers": 2, "intermediate_size": 128, "max_position_embeddings": 512,
        "rms_norm_eps": 1e-5,
    });
    json.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    read(&json).map(|(_, config)| config)
}

#[test]
fn unsupported_features_are_named() {
    for (changes, name) in [
        (json!({"model_type": "phi9"}), "phi9"),
        (json!({"hidden_act": "relu2"}), "relu2"),
        (json!({"rope_scaling": {"rope_type": "dynamic", "factor": 4.0}}), "dynamic"),
        (json!({"rope_scaling": {"rope_type": "yarn", "factor": 4.0, "mscale": 1.0}}), "mscale"),
        (json!({"quantization_config": {"quant_method": "awq"}}), "quantized for another program"),
        (
            json!({"model_type": "qwen2", "use_sliding_window": true, "sliding_window": 9}),
            "sliding windows",
        ),
        (json!({"layer_types": ["full_attention", "sliding_attention"]}), "layer_types"),
        (json!({"num_attention_heads": 3}), "3 heads"),
        (json!({"partial_rotary_factor": 0.2}), "partly rotated"),
        (json!({"partial_rotary_factor": 2.0}), "partly rotated"),
        (json!({"layer_types": ["attention", "attention"]}), "layer_types"),
    ] {
        let error = with(&changes).unwrap_err();
        assert!(
            matches!(&error, LoadError::Unsupported { what } if what.contains(name)),
            "{error}"
        );
    }
    assert!(matches!(with(&json!({"hidden_size": -1})), Err(LoadError::Corrupt { .. })));
}

#[test]
fn soft_caps_are_those_of_the_file_or_the_defaults() {
    let caps = |changes: Value| with(&changes).map(|config| (config.score_cap, config.logit_cap));
    assert_eq!(caps(json!({})).unwrap(), (None, None));
    assert_eq!(caps(json!({"final_logit_softcapping": 30.0})).unwrap(), (None, Some(30.0)));
    let gemma = |score: Value| {
        json!({"model_type": "gemma2", "head_dim": 16,
        "attn_logit_softcapping": score})
    };
    assert_eq!(caps(gemma(json!(7.5))).unwrap(), (Some(7.5), Some(30.0)));
    assert_eq!(caps(gemma(Value::Null)).unwrap(), (None, Some(30.0)));
    assert_eq!(
        caps(json!({"model_type": "gemma2", "head_dim": 16})).unwrap(),
        (Some(50.0), Some(30.0))
    );
    for damaged in [json!(-1.0), json!(1e-40), json!(1e60), json!("50")] {
        assert!(matches!(caps(gemma(damaged)), Err(LoadError::Corrupt { .. })));
    }
}

#[test]
fn old_and_new_ways_to_write_rope_settings_are_the_same() {
    let old = with(
        &json!({"model_type": "gemma3_text", "sliding_window": 8, "rope_theta": 5e5, "head_dim": 16,
        "rope_local_base_freq": 3e3, "rope_scaling": {"rope_type": "linear", "factor": 8.0}}),
    );
    let new = with(&json!({"model_type": "gemma3_text", "sliding_window": 8, "head_dim": 16,
    "rope_parameters": {
        "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 5e5},
        "sliding_attention": {"rope_type": "default", "rope_theta": 3e3}
    }}));
    assert_eq!(old.unwrap(), new.unwrap());
}
