//! What users read keeps up with the constants: every reason, condition and metric is explained.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use personaguard_api::conditions::{condition, event, reason};
use personaguard_api::manifests;
use std::collections::BTreeSet;
use std::path::Path;

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Values of `pub const NAME: &str = "value";` in a source file.
fn constants(source: &str) -> Vec<String> {
    let source = read(source);
    let values = source.split("pub const ").skip(1).filter_map(|constant| {
        let (_, value) = constant.split_once(": &str =")?;
        Some(value.trim_start().strip_prefix('"')?.split_once("\";")?.0.to_owned())
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

/// The first cell of each row of a page's tables, in backquotes, after a heading.
fn rows(document: &str, heading: &str) -> BTreeSet<String> {
    let text = read(document);
    let (_, section) = text.split_once(heading).unwrap_or_else(|| panic!("no {heading}"));
    let section = section.split("\n## ").next().unwrap();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` |"));
    rows.map(|(name, _)| name.to_owned()).collect()
}

#[test]
fn item_15_the_page_lists_the_events_that_exist_and_no_other() {
    // Events are made from the table only. Those of a policy that is not accepted have the reason
    // of condition Accepted.
    let rejections = reason::ALL.iter().filter_map(|reason| event::rejection(reason.name));
    let all = event::ALL.iter().copied().chain(rejections);
    let events: BTreeSet<_> = all.map(|event| event.reason.to_owned()).collect();
    assert!(events.len() > 15, "{events:?}");
    assert_eq!(rows("docs/conditions.md", "\n## Events\n"), events);
}

#[test]
fn item_15_the_page_lists_no_metric_that_does_not_exist() {
    let known = constants("crds/terms/src/metrics.rs");
    for heading in ["\n## Sidecar\n", "\n## Operator\n"] {
        let rows = rows("docs/metrics.md", heading);
        assert!(rows.len() > 10, "{rows:?}");
        let unknown: Vec<_> = rows.iter().filter(|name| !known.contains(name)).collect();
        assert!(unknown.is_empty(), "{unknown:?}");
    }
}
