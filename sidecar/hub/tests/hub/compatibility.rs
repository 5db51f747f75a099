//! The list of what hubs have, by which it is fetched or refused: `tests/compatibility/`.

use crate::folders::{CONFIG, TOKENIZER, tensors};
use crate::rig::{Rig, sha256, weights};
use personaguard_compatibility::{Answer, Outcome, files};
use personaguard_hub::Wanted;
use personaguard_local_hub::{COMMIT, REPO};
use std::collections::BTreeMap;

/// What a hub has, what of it is wanted, and what else is the case.
#[derive(Clone, Copy)]
struct Case {
    repo: &'static str,
    revision: &'static str,
    file: Option<&'static str>,
    has: fn() -> Vec<(&'static str, Vec<u8>)>,
    change: fn(&mut Rig),
}

/// A GGUF file.
const FILE: Case = Case {
    repo: REPO,
    revision: "main",
    file: Some("q8.gguf"),
    has: || vec![("q4.gguf", weights(4)), ("q8.gguf", weights(8))],
    change: |_| {},
};

/// A folder.
const FOLDER: Case = Case {
    file: None,
    has: || {
        vec![
            ("config.json", CONFIG.to_vec()),
            ("model.safetensors", tensors("model.embed_tokens.weight")),
            ("tokenizer.json", TOKENIZER.to_vec()),
        ]
    },
    ..FILE
};

const TABLE: &[(&str, Case)] = &[
    ("branch", FILE),
    ("commit", Case { revision: COMMIT, ..FILE }),
    ("one_file", FOLDER),
    ("parts", Case { has: parts, ..FOLDER }),
    ("token", Case { change: |rig| with_token(rig, "hf_right"), ..FILE }),
    ("no_digests", Case { change: |rig| rig.hub.say_no_digests(), ..FILE }),
    ("proxy", Case { change: by_proxy, ..FILE }),
    ("private", Case { change: |rig| rig.hub.ask_for_token("hf_right"), ..FILE }),
    ("gated", Case { change: gated, ..FILE }),
    ("old_token", Case { change: |rig| with_token(rig, "hf_old"), ..FILE }),
    ("no_file", Case { file: Some("q5.gguf"), ..FILE }),
    ("no_revision", Case { revision: "v2", ..FILE }),
    ("unnamed", Case { file: None, ..FILE }),
    ("pickled", Case { has: || vec![("pytorch_model.bin", b"PK".to_vec())], ..FOLDER }),
    ("no_tokenizer", Case { has: without_tokenizer, ..FOLDER }),
    ("safetensors", Case { file: Some("model.safetensors"), ..FOLDER }),
    ("split", Case { file: Some("q8-00001-of-00002.gguf"), ..FILE }),
    ("address", Case { repo: "https://huggingface.co/acme/tiny-chat/tree/main", ..FILE }),
    ("digest", Case { change: |rig| rig.fetch.sha256 = Some(sha256(b"other")), ..FILE }),
    ("pointer", Case { has: || vec![("q8.gguf", POINTER.to_vec())], ..FILE }),
    ("login", Case { has: || vec![("q8.gguf", LOGIN.to_vec())], ..FILE }),
    ("large", Case { change: |rig| rig.fetch.max_bytes = Some(1 << 20), ..FILE }),
];

const POINTER: &[u8] = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n";
const LOGIN: &[u8] = b"<!DOCTYPE html><html><body>Log in</body></html>";

fn parts() -> Vec<(&'static str, Vec<u8>)> {
    let index = br#"{"weight_map": {"model.embed_tokens.weight": "model-1.safetensors"}}"#;
    vec![
        ("config.json", CONFIG.to_vec()),
        ("model-1.safetensors", tensors("model.embed_tokens.weight")),
        ("model.safetensors.index.json", index.to_vec()),
        ("tokenizer.json", TOKENIZER.to_vec()),
    ]
}

fn without_tokenizer() -> Vec<(&'static str, Vec<u8>)> {
    parts().into_iter().filter(|(name, _)| *name != "tokenizer.json").collect()
}

fn with_token(rig: &mut Rig, token: &str) {
    rig.hub.ask_for_token("hf_right");
    rig.settings.token = Some(token.to_owned());
}

fn gated(rig: &mut Rig) {
    with_token(rig, "hf_right");
    rig.hub.ask_for_licence();
}

fn by_proxy(rig: &mut Rig) {
    rig.settings.proxy = Some(rig.hub.endpoint.clone());
    rig.settings.endpoint = "http://hub.invalid".to_owned();
}

async fn outcome(case: Case) -> Outcome {
    let has = (case.has)();
    let has: Vec<(&str, &[u8])> =
        has.iter().map(|(name, bytes)| (*name, bytes.as_slice())).collect();
    let mut rig = Rig::new(&has, None).await;
    match Wanted::new(case.repo, case.revision, case.file) {
        Ok(wanted) => rig.fetch.wanted = wanted,
        Err(error) => return Outcome::said(Answer::Refused, error.to_string()),
    }
    (case.change)(&mut rig);
    match rig.run().await {
        Ok(_) => Outcome::taken(Answer::Works),
        Err(error) => Outcome::said(Answer::Refused, plain(&error.to_string(), &rig)),
    }
}

/// Without what is another in each run.
fn plain(text: &str, rig: &Rig) -> String {
    let text = text.replace(&rig.hub.endpoint, "https://huggingface.co");
    let mut parts = text.split("127.0.0.1:");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| {
        text + "huggingface.co" + part.trim_start_matches(|c: char| c.is_ascii_digit())
    })
}

#[tokio::test]
async fn issue_19_each_repository_of_the_list_is_fetched_or_refused_in_these_words() {
    let section = files("hub").unwrap();
    let cases: BTreeMap<&str, Case> = TABLE.iter().copied().collect();
    section.check_generators(cases.keys().copied()).unwrap();
    let mut found = Vec::new();
    for entry in &section.entries {
        found.push(outcome(cases[entry.made_by.as_str()]).await);
    }
    section.settle(&found).unwrap_or_else(|error| panic!("{error}"));
}
