//! Fuzz targets. Each runs in `cargo test` for a second, on its corpus in `__fuzz__` and on random
//! bytes; `cargo xtask fuzz` runs it for as long as you like, guided by coverage.

use crate::config::{Source, load};
use bolero::check;

#[test]
fn fuzz_policy_files() {
    let folder = tempfile::TempDir::new().unwrap();
    let source = Source {
        folder: folder.path().to_owned(),
        model_file: Some("m.gguf".into()),
        labels: None,
        identity: None,
    };
    check!(name = "policy").for_each(|input| {
        for (file, other) in [("config.yaml", "policy.yaml"), ("policy.yaml", "config.yaml")] {
            std::fs::write(folder.path().join(file), input).unwrap();
            let _ = std::fs::remove_file(folder.path().join(other));
            // A file that cannot be used must give an error with a message, not a panic.
            if let Err(error) = load(&source) {
                assert!(!error.to_string().is_empty());
            }
        }
    });
}
