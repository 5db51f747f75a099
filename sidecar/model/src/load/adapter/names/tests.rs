use super::*;

fn read(name: &str) -> Result<TensorName, String> {
    let llama = Architecture::from_gguf("llama", |_| false).unwrap();
    TensorName::read(name, llama).map_err(|error| error.to_string())
}

#[test]
fn item_19_the_names_of_all_versions_and_wrappers_are_read() {
    for before in [
        "base_model.model.model.layers",
        "base_model.model.model.language_model.layers",
        "base_model.model.language_model.model.layers",
        "base_model.model.llm.model.layers",
        "base_model.model._orig_mod.model.layers",
        "_orig_mod.base_model.model.model.layers",
        "module.base_model.model.model.layers",
        "base_model.model.model._fsdp_wrapped_module.layers",
        "model.layers",
        "language_model.model.layers",
        "layers",
    ] {
        for (block, inside) in [("1", "self_attn"), ("1._checkpoint_wrapped_module", "self_attn")] {
            for (end, part, adapter) in [
                ("lora_A.weight", Part::A, None),
                ("lora_B.weight", Part::B, None),
                ("lora_A.default.weight", Part::A, Some("default")),
                ("lora_B.my_run.weight", Part::B, Some("my_run")),
                ("lora_A.run-2.1.weight", Part::A, Some("run-2.1")),
                ("lora_magnitude_vector", Part::Magnitude, None),
                ("lora_magnitude_vector.weight", Part::Magnitude, None),
                ("lora_magnitude_vector.default", Part::Magnitude, Some("default")),
                ("lora_magnitude_vector.default.weight", Part::Magnitude, Some("default")),
            ] {
                let name = format!("{before}.{block}.{inside}.q_proj.{end}");
                let read = read(&name).unwrap();
                assert_eq!(read.target, "blk.1.attn_q.weight", "{name}");
                assert_eq!((read.part, read.adapter.as_deref()), (part, adapter), "{name}");
                assert!(read.module.ends_with("layers.1.self_attn.q_proj"), "{name}");
            }
        }
    }
}

#[test]
fn item_19_what_belongs_elsewhere_is_refused_by_name_with_what_to_do() {
    for (name, says) in [
        ("base_model.model.model.vision_tower.layers.0.self_attn.q_proj.lora_A.weight", "blocks"),
        ("base_model.model.lm_head.lora_A.weight", "only to linear layers"),
        ("base_model.model.model.layers.0.input_layernorm.lora_A.weight", "only to linear"),
        ("base_model.model.model.layers.0.self_attn.q_proj.lora_B.bias", "is a trained bias"),
        ("base_model.model.model.embed_tokens.lora_embedding_A", "adds to an embedding"),
        ("base_model.model.model.embed_tokens.weight", "saved whole (modules_to_save)"),
        ("base_model.model.lm_head.modules_to_save.default.weight", "saved whole"),
        ("model.layers.0.self_attn.q_proj.lora_a", "another tool wrote"),
        ("lora_unet_down.lora_down.weight", "another tool wrote"),
        ("secret", "is no factor of a LoRA adapter"),
    ] {
        let message = read(name).unwrap_err();
        assert!(message.contains(says) && message.contains(name), "{message}");
        assert!(message.contains("merge"), "{message}");
    }
}
