//! What users read keeps up with the constants: every reason, condition and metric is explained.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use personaguard_api::conditions::{condition, reason};
use personaguard_api::manifests;
use std::path::Path;

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Values of `pub const NAME: &str = "value";` in a source file.
fn constants(source: &str) -> Vec<String> {
    let source = read(source);
    let values = source.lines().filter_map(|line| {
        let (_, value) = line.trim().strip_prefix("pub const ")?.split_once(": &str = \"")?;
        Some(value.trim_end_matches("\";").to_owned())
    });
    values.collect()
}

fn explains(document: &str, names: &[String], least: usize) {
    let text = read(document);
    assert!(names.len() >= least, "only {} names were found: {names:?}", names.len());
    let missing: Vec<_> =
        names.iter().filter(|name| !text.contains(&format!("| `{name}` |"))).collect();
    assert!(missing.is_empty(), "{document} has no row for {missing:?}");
}

/// Names of the functions that Rust files under `folder` define.
fn functions(folder: &Path, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        if path.is_dir() && !name.starts_with('.') && name != "target" {
            functions(&path, found);
        } else if name.ends_with(".rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            let names = text.split("fn ").skip(1).filter_map(|rest| rest.split(['(', '<']).next());
            found.extend(names.map(str::to_owned));
        }
    }
}

#[test]
fn every_invariant_has_a_test_that_is_named_after_it() {
    let mut functions_found = Vec::new();
    functions(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../.."), &mut functions_found);
    let architecture = read("ARCHITECTURE.md");
    for number in 1..=9 {
        let row =
            architecture.lines().find(|line| line.starts_with(&format!("| {number} |"))).unwrap();
        let named: Vec<_> = row.split('`').filter(|word| word.contains("invariant_")).collect();
        assert!(!named.is_empty(), "invariant {number} has no test in ARCHITECTURE.md");
        for test in named {
            assert!(
                test.contains(&format!("_{number}_")),
                "{test} in the row of invariant {number}"
            );
            assert!(
                functions_found.iter().any(|function| function == test),
                "{test} is no test of this repository"
            );
        }
    }
    for test in functions_found
        .iter()
        .filter(|name| name.contains("invariant_") && !name.starts_with("every_"))
    {
        assert!(architecture.contains(test.as_str()), "ARCHITECTURE.md does not name {test}");
    }
}

#[test]
fn every_condition_and_reason_has_a_row_in_the_generated_page() {
    let conditions = condition::ALL.iter().map(|condition| condition.name);
    let names = conditions.chain(reason::ALL.iter().map(|reason| reason.name));
    explains("docs/conditions.md", &names.map(str::to_owned).collect::<Vec<_>>(), 40);
}

#[test]
fn every_condition_is_of_a_kind_that_exists() {
    let manifests: String = manifests().into_iter().map(|(_, yaml)| yaml).collect();
    for kind in condition::ALL.iter().flat_map(|condition| condition.kinds) {
        assert!(manifests.contains(&format!("kind: {kind}\n")), "{kind} is no kind");
    }
}

#[test]
fn every_metric_has_a_row_in_the_operations_guide() {
    explains("docs/operations.md", &constants("crds/terms/src/metrics.rs"), 20);
}
