use super::{condition, markdown, reason};
use std::collections::BTreeSet;
use std::path::Path;

#[test]
fn the_page_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/conditions.md");
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == markdown(), "docs/conditions.md is out of date: run `cargo xtask crdgen`");
}

#[test]
fn every_reason_is_on_a_condition_of_the_table() {
    for reason in reason::ALL {
        assert!(!reason.places.is_empty(), "{} is nowhere", reason.name);
        for place in reason.places {
            if [reason::EVENT, reason::METRIC].contains(&place.condition) {
                continue;
            }
            let condition = condition::ALL.iter().find(|known| known.name == place.condition);
            let condition = condition.unwrap_or_else(|| panic!("{place:?} of {}", reason.name));
            let known = |kind| condition.kinds.contains(kind);
            assert!(place.kinds.iter().all(known), "{place:?} of {}", reason.name);
        }
    }
}

#[test]
fn names_are_unique_and_texts_are_sentences() {
    let names: BTreeSet<_> = reason::ALL.iter().map(|reason| reason.name).collect();
    assert_eq!(names.len(), reason::ALL.len());
    let names: BTreeSet<_> = condition::ALL.iter().map(|condition| condition.name).collect();
    assert_eq!(names.len(), condition::ALL.len());
    let texts = reason::ALL.iter().flat_map(|reason| [reason.says, reason.action]);
    for text in texts.chain(condition::ALL.iter().map(|condition| condition.means)) {
        assert!(text.is_empty() || text.ends_with('.'), "{text:?} is not a sentence");
        assert!(!text.contains('|'), "{text:?} would break the table");
    }
}
