//! Folders of hubs as other tools write them, and what is no such folder.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]
#![allow(
    unreachable_pub,
    dead_code,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "tests"
)]

mod support;

use personaguard_model::{ChatOptions, Model};
use serde_json::{Value, json};
use std::path::Path;
use support::hf::{self, Dtype};
use support::loading::{self, folder, load_folder as load, refused};
use support::tensors::{add_tensor, change_tensors};
use support::{Shape, tiny};

/// What becomes of templates in these files: the length of the prompt, or why there is none.
fn template_in(files: &[(&str, &str)]) -> Result<usize, String> {
    let folder = folder();
    for (name, text) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let model = load(folder.path()).map_err(|error| error.to_string())?;
    let prompt = model.chat_prompt(&[json!({"role": "user"})], &ChatOptions::default());
    prompt.map(|prompt| prompt.len()).map_err(|error| error.to_string())
}

#[test]
fn item_19_templates_are_found_wherever_hubs_keep_them() {
    let in_json = |value: Value| json!({ "chat_template": value }).to_string();
    let named = |names: &[&str]| -> Value {
        names.iter().map(|name| json!({"name": name, "template": name})).collect()
    };
    assert!(template_in(&[]).unwrap_err().contains("no chat template"));
    let folder = "additional_chat_templates";
    for (files, length) in [
        (vec![("tokenizer_config.json", in_json(json!("a")))], 1),
        (vec![("tokenizer_config.json", in_json(named(&["tool_use", "default"])))], 7),
        (vec![("tokenizer_config.json", in_json(json!({"tool_use": "a", "default": "bc"})))], 2),
        (vec![("tokenizer_config.json", in_json(named(&["rag"])))], 3),
        (vec![("chat_template.json", in_json(json!("ab")))], 2),
        (vec![("processor_config.json", in_json(json!("abc")))], 3),
        (vec![("chat_template.jinja", "\u{feff}abcd".to_owned())], 4),
        (vec![(&*format!("{folder}/tool_use.jinja"), "abcde".to_owned())], 5),
        (
            vec![
                ("chat_template.jinja", "ab".to_owned()),
                (&*format!("{folder}/rag.jinja"), "c".to_owned()),
                ("tokenizer_config.json", in_json(json!("abcd"))),
            ],
            2,
        ),
    ] {
        let files: Vec<_> = files.iter().map(|(name, text)| (*name, text.as_str())).collect();
        assert_eq!(template_in(&files), Ok(length), "{files:?}");
    }
    let several = in_json(named(&["tool_use", "rag"]));
    let error = template_in(&[("tokenizer_config.json", &several)]).unwrap_err();
    assert!(error.contains("it has templates rag, tool_use, and none is the default"), "{error}");
    let error = template_in(&[("chat_template.jinja", "{{ missing() }}")]).unwrap_err();
    assert!(error.contains("chat template cannot be used: for a plain conversation"), "{error}");
}

/// The tokenizer of a folder in which this was done to the first added tokens, which are 256 on.
fn with_added(changes: &[Value]) -> Model {
    let folder = folder();
    let mut tokenizer = hf::byte_tokenizer();
    for (index, change) in changes.iter().enumerate() {
        let added = tokenizer["added_tokens"][index].as_object_mut().unwrap();
        added.extend(change.as_object().unwrap().clone());
    }
    hf::write(folder.path(), "tokenizer.json", &tokenizer);
    load(folder.path()).unwrap()
}

#[test]
fn item_19_added_tokens_take_the_text_around_them_as_they_say() {
    let model = with_added(&[
        json!({"content": "<l>", "lstrip": true}),
        json!({"content": "<r>", "rstrip": true, "normalized": true}),
        json!({"content": "wo", "single_word": true}),
    ]);
    let encode = |text: &str| model.tokenizer().encode_with_control(text);
    let byte = |text: &str| model.tokenizer().encode(text)[0];
    let (a, b) = (byte("a"), byte("b"));
    assert_eq!(encode("a \n<l>b"), [a, 256, b]);
    assert_eq!(encode("a<l> b"), [a, 256, byte(" "), b]);
    assert_eq!(encode("a<r> \nb"), [a, 257, b]);
    assert_eq!(encode("a<r> <l>b"), [a, 257, 256, b]);
    assert_eq!(encode("awo woa"), model.tokenizer().encode("awo woa"));
    assert_eq!(encode("a wo"), [a, byte(" "), 258]);
}

#[test]
fn item_19_tokens_of_the_chat_format_are_control_tokens_whatever_the_file_calls_them() {
    let model = with_added(&[
        json!({"content": "<|im_end|>", "special": false}),
        json!({"content": "<|im_start|>", "special": false}),
        json!({"content": "<think>", "special": false}),
    ]);
    let tokenizer = model.tokenizer();
    for (text, length) in [("<|im_end|>", 10), ("<|im_start|>", 12), ("<think>", 1)] {
        assert_eq!(tokenizer.encode(text).len(), length, "{text}");
        assert_eq!(tokenizer.encode_with_control(text).len(), 1, "{text}");
    }
    assert!(tokenizer.end_tokens().contains(&256));
}

#[test]
fn item_19_tokens_that_the_weights_do_not_know_are_left_out() {
    let folder = folder();
    let mut tokenizer = hf::byte_tokenizer();
    tokenizer["model"]["vocab"]["beyond"] = json!(100_000);
    let more = json!({"id": 100_001, "content": "<|more|>", "special": true});
    tokenizer["added_tokens"].as_array_mut().unwrap().push(more);
    hf::write(folder.path(), "tokenizer.json", &tokenizer);
    let model = load(folder.path()).unwrap();
    assert_eq!(model.tokenizer().encode_with_control("<|more|>").len(), 8);
}

/// What a model answers to some tokens.
fn answer(path: &Path) -> Result<Vec<u32>, String> {
    let model = load(path).map_err(|error| error.to_string())?;
    Ok(loading::answer(model, (0..40).collect()))
}

#[test]
fn item_19_tensors_are_found_behind_any_prefix() {
    let sound = answer(folder().path()).unwrap();
    let text = |name: &str| name.strip_prefix("model.").unwrap_or(name).to_owned();
    for prefix in
        ["", "language_model.model.", "model.language_model.", "_orig_mod.model.", "module.model."]
    {
        let folder = folder();
        change_tensors(folder.path(), |name, value| {
            let named = format!("{prefix}{}", text(name));
            Some((if name.starts_with("model.") { named } else { name.to_owned() }, value))
        });
        assert_eq!(answer(folder.path()).as_ref(), Ok(&sound), "{prefix}");
    }
}

#[test]
fn item_19_the_text_model_of_a_larger_one_is_read() {
    let folder = hf::folder(&mut tiny(&Shape::of("gemma3"), 1), Dtype::F32, 1);
    let sound = answer(folder.path()).unwrap();
    let config = std::fs::read(folder.path().join("config.json")).unwrap();
    let text: Value = serde_json::from_slice(&config).unwrap();
    let whole = json!({"model_type": "gemma3", "vision_config": {}, "text_config": text});
    hf::write(folder.path(), "config.json", &whole);
    change_tensors(folder.path(), |name, value| {
        // A bias that is no part of the text model.
        Some((format!("language_model.{name}"), value))
    });
    assert_eq!(answer(folder.path()), Ok(sound));
    hf::write(folder.path(), "config.json", &json!({"model_type": "other", "text_config": {}}));
    refused(folder.path(), "model type other");
}

#[test]
fn item_19_tensors_that_are_not_needed_are_passed_over() {
    let sound = answer(folder().path()).unwrap();
    let with = |name: &str, dtype: &str, shape: Value| {
        let folder = folder();
        add_tensor(folder.path(), name, dtype, &shape);
        answer(folder.path())
    };
    for (name, dtype, shape) in [
        ("model.extra", "F32", json!([0])),
        ("model.layers.0.self_attn.k_scale", "F32", json!([])),
        ("model.layers.0.self_attn.v_scale", "F32", json!([1])),
        ("model.embed_positions", "I64", json!([4])),
        ("model.rotary_emb.inv_freq", "F32", json!([8])),
        ("model.layers.1.self_attn.rotary_emb.inv_freq", "F32", json!([8])),
        ("model.layers.0.self_attn.masked_bias", "F32", json!([2, 2])),
        ("model.layers.9.self_attn.q_proj.weight", "F32", json!([2, 2])),
        ("vision_tower.patch_embed.weight", "F32", json!([2, 2, 2, 2])),
        ("model.vision_tower.layers.0.mlp.up_proj.weight", "F32", json!([2, 2])),
        ("score.weight", "F32", json!([2, 64])),
    ] {
        assert_eq!(with(name, dtype, shape).as_ref(), Ok(&sound), "{name}");
    }
    for (name, dtype, shape, message) in [
        ("model.layers.0.self_attn.g_proj.bias", "F32", json!([96]), "of unknown use"),
        ("lm_head.bias", "F32", json!([260]), "of unknown use"),
        ("model.layers.0.extra", "F64", json!([2]), "is F64"),
        ("language_model.model.norm.weight", "F32", json!([64]), "are the same part"),
    ] {
        let error = with(name, dtype, shape).unwrap_err();
        assert!(error.contains(message), "{name}: {error}");
    }
}

#[test]
fn item_19_what_a_folder_lacks_is_named() {
    let index = "model.safetensors.index.json";
    let shard = "model-00002-of-00002.safetensors";
    let without = |name: &str| {
        let folder = folder();
        std::fs::remove_file(folder.path().join(name)).unwrap();
        folder
    };
    let folder = without(shard);
    refused(folder.path(), &format!("{index} names {shard}, which"));
    refused(folder.path(), "fetch what is missing again");
    let folder = without(index);
    refused(folder.path(), "holds model-00001-of-00002.safetensors, but neither");
    for shard in ["model-00001-of-00002.safetensors", shard] {
        std::fs::remove_file(folder.path().join(shard)).unwrap();
    }
    refused(folder.path(), "holds no model.safetensors");
    std::fs::write(folder.path().join("pytorch_model.bin"), "").unwrap();
    refused(folder.path(), "holds pytorch_model.bin, a PyTorch checkpoint: convert");
    std::fs::write(folder.path().join("x.gguf"), "").unwrap();
    refused(folder.path(), "holds x.gguf: name that file itself");
}

#[test]
fn item_19_files_of_a_folder_that_are_something_else_are_told_as_that() {
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n";
    let names = ["config.json", "tokenizer.json", "model-00001-of-00002.safetensors"];
    for name in names {
        for (text, message) in [(pointer, "is a Git LFS pointer"), ("<html>", "is a web page")] {
            let folder = folder();
            std::fs::write(folder.path().join(name), text).unwrap();
            refused(folder.path(), &format!("{name} {message}"));
        }
    }
}

#[test]
fn item_19_json_is_read_as_python_writes_it() {
    let folder = folder();
    let sound = answer(folder.path()).unwrap();
    let config = std::fs::read_to_string(folder.path().join("config.json")).unwrap();
    let more = |more: &str| format!("{}, {more}}}", config.strip_suffix('}').unwrap());
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("config.json", &format!("\u{feff}{}", more("\"limit\": [0.0, Infinity]")));
    write("generation_config.json", "{\"typical_p\": NaN, \"eos_token_id\": 256}");
    write("tokenizer_config.json", "\u{feff}{\"model_max_length\": 1e30}");
    assert_eq!(answer(folder.path()), Ok(sound));
    write("config.json", &more("\"rms_norm_eps\": NaN"));
    refused(folder.path(), "rms_norm_eps in config.json is out of range");
}
