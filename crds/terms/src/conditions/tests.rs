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

/// Without tests and the table itself, the source of what gives reasons.
fn sources(folder: &Path, text: &mut String) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() && name != "tests" {
            sources(&path, text);
        } else if name.ends_with(".rs") && !["tests.rs", "reason.rs"].contains(&name.as_str()) {
            text.push_str(&std::fs::read_to_string(&path).unwrap());
        }
    }
}

#[test]
fn every_reason_is_given_somewhere() {
    let mut text = String::new();
    for folder in ["crds/api", "crds/resolve", "operator/src", "sidecar"] {
        sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(folder), &mut text);
    }
    // An Event has its reason from the table of Events.
    text += include_str!("event.rs");
    for reason in reason::ALL {
        let mut constant = String::new();
        for letter in reason.name.chars() {
            if letter.is_uppercase() && !constant.is_empty() {
                constant.push('_');
            }
            constant.push(letter.to_ascii_uppercase());
        }
        let mention = format!("reason::{constant}");
        let longer = |next: char| next == '_' || next.is_alphanumeric();
        let mut given = text.split(&mention).skip(1).filter(|after| !after.starts_with(longer));
        assert!(given.next().is_some(), "nothing gives {}", reason.name);
    }
}
