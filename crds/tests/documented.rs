//! What users read keeps up with the constants: every reason, condition and metric is explained.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::path::Path;

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
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
    let missing: Vec<_> = constants.iter().filter(|value| !text.contains(&format!("| `{value}` |"))).collect();
    assert!(missing.is_empty(), "{document} has no row for {missing:?} of {source}");
}

#[test]
fn every_condition_and_reason_has_a_row_in_the_readme() {
    explains("README.md", "crds/src/conditions.rs", 40);
}

#[test]
fn every_metric_has_a_row_in_the_operations_guide() {
    explains("docs/operations.md", "crds/src/metrics.rs", 20);
}
