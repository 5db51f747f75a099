//! Hugging Face folders: tokenizers, templates, digests, and what is refused.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]
#![allow(
    unreachable_pub,
    dead_code,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "tests"
)]

mod support;

use personaguard_model::{
    ChatOptions, Engine, EngineError, EngineOptions, Event, GenerateRequest, Generation, LoadError,
    LoadOptions, Model,
};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::sync::Arc;
use support::hf;
use support::loading::{folder, load_folder as load, refused};

#[test]
fn special_tokens_templates_and_ends_come_from_the_files_beside_it() {
    let folder = folder();
    hf::write(
        folder.path(),
        "tokenizer_config.json",
        &json!({"bos_token": {"content": "<|control 257|>"}, "add_bos_token": true,
            "chat_template": "{% for m in messages %}<|control 258|>{{ m.content }}{% endfor %}\
                              <|control 259|>"}),
    );
    hf::write(folder.path(), "generation_config.json", &json!({"eos_token_id": [256, 258]}));
    let model = load(folder.path()).unwrap();
    assert_eq!(model.tokenizer().end_tokens(), [256, 258]);
    let text = "Hé 12<|control 259|>";
    let plain = model.tokenizer().encode(text);
    assert_eq!(plain.len(), text.len(), "a byte each: what looks like a special token is text");
    assert_eq!(model.tokenizer().decode(&plain), text);
    assert_eq!(model.tokenizer().encode_with_control("a<|control 258|>").last(), Some(&258));
    let prompt = model
        .chat_prompt(&[json!({"role": "user", "content": text})], &ChatOptions::default())
        .unwrap();
    assert_eq!(prompt, [&[257, 258], plain.as_slice(), &[259]].concat());
    // A template in a separate file takes precedence.
    std::fs::write(folder.path().join("chat_template.jinja"), "<|control 258|>").unwrap();
    let prompt = load(folder.path()).unwrap().chat_prompt(&[], &ChatOptions::default()).unwrap();
    assert_eq!(prompt, [257, 258]);
}

/// SentencePiece as in Llama 2 and Mistral, with a space in front of the first text only.
fn sentencepiece() -> Value {
    let mut vocabulary: serde_json::Map<String, Value> =
        (0..256).map(|byte| (format!("<0x{byte:02X}>"), json!(byte))).collect();
    for (text, id) in [("▁", 256), ("a", 257), ("b", 258), ("ab", 259)] {
        vocabulary.insert(text.into(), json!(id));
    }
    json!({
        "version": "1.0", "added_tokens": [], "normalizer": null, "post_processor": null,
        "pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first",
        "split": false},
        "decoder": {"type": "Sequence", "decoders": [
            {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
            {"type": "ByteFallback"}, {"type": "Fuse"}]},
        "model": {"type": "BPE", "vocab": vocabulary, "merges": [["a", "b"]],
        "byte_fallback": true, "fuse_unk": true},
    })
}

#[test]
fn sentencepiece_tokenizers_put_a_space_before_the_first_text_only() {
    let folder = folder();
    hf::write(folder.path(), "tokenizer.json", &sentencepiece());
    let model = load(folder.path()).unwrap();
    let tokenizer = model.tokenizer();
    assert_eq!(tokenizer.encode("ab é"), [256, 259, 256, 0xc3, 0xa9]);
    assert_eq!(tokenizer.decode(&[259, 256, 0xc3, 0xa9]), "ab é");
    let mut json = sentencepiece();
    json["added_tokens"] = json!([{"id": 100, "content": "<end>", "special": true}]);
    hf::write(folder.path(), "tokenizer.json", &json);
    let model = load(folder.path()).unwrap();
    assert_eq!(model.tokenizer().encode_with_control("ab<end>ab"), [256, 259, 100, 259]);
}

#[test]
fn the_digest_is_that_of_the_list_of_digests() {
    let folder = folder();
    let lines = || -> String {
        let mut names: Vec<String> = std::fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name != "README.md")
            .collect();
        names.sort();
        let sha = |name: &String| {
            hex::encode(Sha256::digest(std::fs::read(folder.path().join(name)).unwrap()))
        };
        names.iter().map(|name| format!("{}  {name}\n", sha(name))).collect()
    };
    let first = load(folder.path()).unwrap().digest().to_owned();
    assert_eq!(first, hex::encode(Sha256::digest(lines())));
    std::fs::write(folder.path().join("README.md"), "not read").unwrap();
    assert_eq!(load(folder.path()).unwrap().digest(), first);
    hf::write(folder.path(), "generation_config.json", &json!({}));
    assert_eq!(load(folder.path()).unwrap().digest(), hex::encode(Sha256::digest(lines())));
    let options = LoadOptions { expected_sha256: Some(first), ..LoadOptions::default() };
    assert!(matches!(Model::load(folder.path(), &options), Err(LoadError::DigestMismatch { .. })));
}

#[test]
fn damaged_folders_are_refused_without_a_panic() {
    let mut random = StdRng::seed_from_u64(3);
    let files = [
        "config.json",
        "tokenizer.json",
        "model.safetensors.index.json",
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
    ];
    let folder = folder();
    let sound = files.map(|name| std::fs::read(folder.path().join(name)).unwrap());
    for round in 0..400 {
        let file = round % files.len();
        let mut damaged = sound[file].clone();
        // Of the weights, only the header.
        let reach = damaged.len().min(4000);
        for _ in 0..random.random_range(1..4) {
            match random.random_range(0..4) {
                0 => damaged[random.random_range(0..reach.min(8))] = random.random(),
                1 => damaged.truncate(random.random_range(0..reach).max(reach / 2)),
                // Changing a digit often leaves valid JSON.
                2 => {
                    let digits: Vec<usize> = (0..reach.min(damaged.len()))
                        .filter(|&i| damaged[i].is_ascii_digit())
                        .collect();
                    if let Some(&at) = digits.get(random.random_range(0..digits.len().max(1))) {
                        damaged[at] = random.random_range(b'0'..=b'9');
                    }
                }
                _ => {
                    let at = random.random_range(0..reach.min(damaged.len()));
                    damaged[at] = random.random();
                }
            }
        }
        std::fs::write(folder.path().join(files[file]), damaged).unwrap();
        // If it still loads, it must also run.
        if let Ok(model) = load(folder.path())
            && let Ok(engine) = Engine::start(Arc::new(model), EngineOptions::default())
        {
            let request =
                GenerateRequest { prompt: vec![1, 2, 3], max_tokens: 2, ..Default::default() };
            let mut generation = engine.submit(request).ok();
            while let Some(event) = generation.as_mut().and_then(Generation::blocking_next) {
                assert_ne!(event, Event::Failed(EngineError::Internal));
            }
        }
        std::fs::write(folder.path().join(files[file]), &sound[file]).unwrap();
    }
}

#[test]
fn what_cannot_be_read_is_named() {
    let with = |name: &str, bytes: &[u8], message: &str| {
        let folder = folder();
        std::fs::write(folder.path().join(name), bytes).unwrap();
        refused(folder.path(), message);
    };
    let shard = "model-00001-of-00002.safetensors";
    let whole =
        |header: &str| [(header.len() as u64).to_le_bytes().as_slice(), header.as_bytes()].concat();
    let index = "model.safetensors.index.json";
    with("config.json", b"{}", "names no model_type");
    with("config.json", b"{", "config.json is not JSON");
    with(index, br#"{"weight_map": {"a": "../x.safetensors"}}"#, "names no files of this folder");
    with(index, br#"{"weight_map": {"a": "model-00001-of-00002.safetensors"}}"#, "is missing");
    with(
        shard,
        b"\xff\xff\xff\xff\xff\xff\xff\xff",
        "claims a header of 18446744073709551615 bytes",
    );
    with(shard, &whole("[]"), "not JSON");
    with(
        shard,
        &whole(r#"{"a": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}}"#),
        "cut short",
    );
    with(
        shard,
        &whole(
            r#"{"model.norm.weight": {"dtype": "F8_E4M3", "shape": [4], "data_offsets": [0, 4]}}"#,
        ),
        "model.norm.weight is F8_E4M3",
    );
    with("tokenizer.json", br#"{"model": {"type": "Unigram"}}"#, "Unigram");
    let mut tokenizer = hf::byte_tokenizer();
    tokenizer["added_tokens"][0]["lstrip"] = json!("yes");
    with("tokenizer.json", tokenizer.to_string().as_bytes(), "malformed added tokens");
    let folder = folder();
    std::fs::remove_file(folder.path().join("tokenizer.json")).unwrap();
    refused(folder.path(), "holds no tokenizer.json");
    refused(&folder.path().join(shard), "the folder that holds config.json");
    let cut = std::fs::read(folder.path().join(shard)).unwrap();
    std::fs::write(folder.path().join(shard), &cut[..cut.len() - 4]).unwrap();
    refused(folder.path(), "cut short");
}
