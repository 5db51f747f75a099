//! Folders: which files are fetched, in which version, and their digest.

use crate::rig::{Rig, files, sha256};
use personaguard_hub::FetchError;
use personaguard_local_hub::{COMMIT, Fault};
use std::fmt::Write as _;

pub(crate) const CONFIG: &[u8] =
    br#"{"model_type": "llama", "hidden_size": 64, "num_hidden_layers": 1,
    "num_attention_heads": 2, "intermediate_size": 64, "vocab_size": 16,
    "max_position_embeddings": 64, "rms_norm_eps": 1e-5, "tie_word_embeddings": true}"#;
pub(crate) const TOKENIZER: &[u8] = br#"{"model": {"type": "BPE"}}"#;

/// A safetensors file with one tensor of a model.
pub(crate) fn tensors(name: &str) -> Vec<u8> {
    let header =
        format!(r#"{{"{name}":{{"dtype":"F32","shape":[16,64],"data_offsets":[0,4096]}}}}"#);
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.extend(vec![1; 4096]);
    bytes
}

/// What `sha256sum FILES | sha256sum` prints.
fn digest_of(files: &[(&str, &[u8])]) -> String {
    let lines = files.iter().fold(String::new(), |mut lines, (name, bytes)| {
        writeln!(lines, "{}  {name}", sha256(bytes)).unwrap();
        lines
    });
    sha256(lines.as_bytes())
}

#[tokio::test]
async fn of_a_folder_only_what_is_read_is_fetched() {
    let weights = tensors("model.embed_tokens.weight");
    let read: [(&str, &[u8]); 3] =
        [("config.json", CONFIG), ("model.safetensors", &weights), ("tokenizer.json", TOKENIZER)];
    let mut all = read.to_vec();
    all.extend([("modeling.py", &b"import os"[..]), ("pytorch_model.bin", b"PK\x03\x04")]);
    let mut rig = Rig::new(&all, None).await;
    rig.fetch.sha256 = Some(digest_of(&read));
    let fetched = rig.run().await.unwrap();
    assert_eq!(fetched.sha256, digest_of(&read));
    assert_eq!(fetched.commit.as_deref(), Some(COMMIT));
    assert_eq!(files(&rig.fetch.folder), ["config.json", "model.safetensors", "tokenizer.json"]);
    rig.settings.endpoint = "http://127.0.0.1:1".to_owned();
    assert!(rig.run().await.unwrap().was_there);

    rig.fetch.sha256 = Some(sha256(b"other"));
    rig.settings.endpoint.clone_from(&rig.hub.endpoint);
    let error = rig.run().await.unwrap_err();
    assert!(matches!(error, FetchError::Digest(_)), "{error:?}");
}

#[tokio::test]
async fn parts_are_those_of_the_index_and_each_is_resumed_by_itself() {
    let parts = [
        tensors("model.embed_tokens.weight"),
        tensors("model.layers.0.self_attn.rotary_emb.inv_freq"),
    ];
    let index = br#"{"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}"#;
    let rig = Rig::new(
        &[
            ("config.json", CONFIG),
            ("model-1.safetensors", &parts[0]),
            ("model-2.safetensors", &parts[1]),
            ("model-3.safetensors", b"of another model"),
            ("model.safetensors.index.json", index),
            ("tokenizer.json", TOKENIZER),
        ],
        None,
    )
    .await;
    let fine = || Fault::NoRanges;
    rig.hub.fail([fine(), fine(), fine(), fine(), Fault::BreakOff(100)]);
    rig.run().await.unwrap();
    let found = files(&rig.fetch.folder);
    assert!(!found.contains(&"model-3.safetensors".to_owned()), "{found:?}");
    assert_eq!(std::fs::read(rig.fetch.folder.join("model-2.safetensors")).unwrap(), parts[1]);
    let ranges: Vec<_> = rig.transfers().into_iter().filter_map(|it| it.range).collect();
    assert_eq!(ranges, ["bytes=100-"]);
}

#[tokio::test]
async fn a_small_file_is_checked_by_its_id_in_git() {
    let weights = tensors("model.embed_tokens.weight");
    let rig = Rig::new(
        &[("config.json", CONFIG), ("model.safetensors", &weights), ("tokenizer.json", TOKENIZER)],
        None,
    )
    .await;
    rig.hub.fail([Fault::Damage, Fault::Damage]);
    let error = rig.run().await.unwrap_err();
    assert!(error.to_string().contains("config.json arrived with SHA-256"), "{error}");
}

#[tokio::test]
async fn what_the_hub_gives_itself_is_resumed_by_its_own_tag() {
    let long = vec![b' '; 100_000];
    let weights = tensors("model.embed_tokens.weight");
    let rig = Rig::new(
        &[
            ("chat_template.jinja", &long),
            ("config.json", CONFIG),
            ("model.safetensors", &weights),
            ("tokenizer.json", TOKENIZER),
        ],
        None,
    )
    .await;
    rig.hub.fail([Fault::NoRanges, Fault::NoRanges, Fault::BreakOff(1000)]);
    rig.run().await.unwrap();
    let seen = rig.hub.seen();
    let resumed: Vec<_> = seen.iter().filter(|it| it.range.is_some()).collect();
    assert_eq!(resumed.len(), 1, "{resumed:?}");
    assert!(resumed[0].if_range.as_ref().is_some_and(|tag| tag.starts_with('"')), "{resumed:?}");
    assert!(resumed[0].path.ends_with("/chat_template.jinja"));
}

#[tokio::test]
async fn a_model_that_cannot_be_served_is_told_by_what_is_missing() {
    let weights = tensors("model.embed_tokens.weight");
    let rig = Rig::new(
        &[
            ("config.json", br#"{"model_type": "mamba"}"#),
            ("model.safetensors", &weights),
            ("tokenizer.json", TOKENIZER),
        ],
        None,
    )
    .await;
    let said = rig.error().await;
    assert!(said.starts_with("what was fetched cannot be served: "), "{said}");
    assert!(said.contains("mamba"), "{said}");
}
