//! What users read keeps up with the constants: every reason, condition and metric is explained.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

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

fn explains(document: &str, source: &str, least: usize) {
    let text = read(document);
    let constants = constants(source);
    assert!(constants.len() >= least, "only {} constants were found in {source}", constants.len());
    let missing: Vec<_> =
        constants.iter().filter(|value| !text.contains(&format!("| `{value}` |"))).collect();
    assert!(missing.is_empty(), "{document} has no row for {missing:?} of {source}");
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
fn every_condition_and_reason_has_a_row_in_the_readme() {
    explains("README.md", "crds/terms/src/conditions.rs", 40);
}

#[test]
fn every_metric_has_a_row_in_the_operations_guide() {
    explains("docs/operations.md", "crds/terms/src/metrics.rs", 20);
}
