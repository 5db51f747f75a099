//! The list of files, by which models and adapters are taken or refused: `tests/compatibility/`.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]
#![allow(
    unreachable_pub,
    dead_code,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "tests"
)]

mod adapters;
mod chat_templates;
mod gguf;
mod hub_folders;
#[path = "../support/mod.rs"]
mod support;
mod warnings;

use personaguard_compatibility::{Answer, Outcome, files};
use personaguard_model::{LoadError, Model};
use std::collections::BTreeMap;
use std::path::Path;

/// Makes something in an empty folder, and loads it.
type Generator = fn(&Path) -> Result<Model, LoadError>;

/// Generators by the names that the list gives them.
type Table = &'static [(&'static str, Generator)];

/// What becomes of what a generator makes.
fn outcome(generator: Generator) -> Outcome {
    let folder = tempfile::tempdir().unwrap();
    let loaded = generator(folder.path());
    let warnings = warnings::take();
    let plain = |text: String| text.replace(folder.path().to_str().unwrap(), "FOLDER");
    match loaded {
        Err(error) => Outcome::said(Answer::Refused, plain(error.to_string())),
        Ok(_) if warnings.is_empty() => Outcome::taken(Answer::Works),
        Ok(_) => Outcome::said(Answer::Warns, plain(warnings.join("; "))),
    }
}

#[test]
fn issue_19_each_file_of_the_list_is_taken_or_refused_in_these_words() {
    warnings::watch();
    let mut problems = Vec::new();
    for (name, table) in [
        ("gguf", gguf::TABLE),
        ("hub_folders", hub_folders::TABLE),
        ("chat_templates", chat_templates::TABLE),
        ("adapters", adapters::TABLE),
    ] {
        let section = files(name).unwrap();
        let generators: BTreeMap<&str, Generator> = table.iter().copied().collect();
        assert_eq!(generators.len(), table.len(), "{name}: a generator's name is there twice");
        section.check_generators(generators.keys().copied()).unwrap();
        let made = section.entries.iter().map(|entry| generators[entry.made_by.as_str()]);
        let found: Vec<Outcome> = made.map(outcome).collect();
        problems.extend(section.settle(&found).err().map(|error| error.to_string()));
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}
