//! Hostile bytes: streams of an upstream server, bodies of requests, policy files. See
//! `fuzz/mutate.rs`.

#[path = "../../../fuzz/mutate.rs"]
pub(crate) mod mutate;

use crate::config::{Source, load};
use mutate::{kind, outcome, run};

#[test]
fn fuzz_policy_files() {
    let folder = tempfile::TempDir::new().unwrap();
    let source = |labels| Source {
        folder: folder.path().to_owned(),
        model_file: Some("m.gguf".into()),
        labels,
    };
    let words = [
        "apiVersion: personaguard.dev/v1alpha1\n",
        "kind: PersonaPolicy\n",
        "kind: GuardConfig\n",
        "---\n",
        "&a",
        "*a",
        "!!binary ",
        "<<: *a",
        "{",
        "}",
        "[",
        "]",
        "threshold: {sigma: .nan}",
        "1e999",
        "-0",
        "~",
        "placement: Proxy",
        "minTokens: 4294967296",
        "\t",
        "\"",
        "|\n  ",
    ];
    run("policy", &words, |input| {
        let files = [("config.yaml", "policy.yaml"), ("policy.yaml", "config.yaml")];
        let mut parts = Vec::new();
        for (file, other) in files {
            std::fs::write(folder.path().join(file), input).unwrap();
            let _ = std::fs::remove_file(folder.path().join(other));
            parts.push(match load(&source(None)) {
                Ok(config) => 1 + config.guard.policies.len() as u64,
                Err(error) => {
                    kind(&error.to_string().replace(&folder.path().display().to_string(), ""))
                }
            });
        }
        outcome(&parts)
    });
}
