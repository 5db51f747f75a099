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
fn every_metric_has_a_row_in_its_page() {
    explains("docs/metrics.md", &constants("crds/terms/src/metrics.rs"), 20);
}
