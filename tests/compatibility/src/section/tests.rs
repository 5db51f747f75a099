use super::*;
use crate::{FILES, REQUESTS, files, requests};

const LIST: &str = "\
title: Things
about: Made up.
since: \"0.1.0\"
entries:
- what: one
  from: a
  made_by: one
  answer: refused
  message: it is short
- what: two
  from: b
  made_by: two
  since: \"0.2.0\"
  answer: works
";

fn section() -> (tempfile::TempDir, Section<FileEntry>) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("things.yaml");
    std::fs::write(&file, LIST).unwrap();
    (folder, Section::read_file(file).unwrap())
}

fn refused(message: &str) -> Outcome {
    Outcome::said(Answer::Refused, message)
}

#[test]
fn a_word_that_differs_is_told_or_written_if_that_is_asked_for() {
    let (_folder, section) = section();
    assert_eq!(section.since(&section.entries[0]), "0.1.0");
    assert_eq!(section.since(&section.entries[1]), "0.2.0");
    let as_listed = [refused("it is short"), Outcome::taken(Answer::Works)];
    section.settle_as(&as_listed, false).unwrap();
    let other = [refused("it is too short"), Outcome::taken(Answer::Ignored)];
    let error = section.settle_as(&other, false).unwrap_err().to_string();
    assert!(error.contains("one:") && error.contains("two:"), "{error}");
    assert!(section.settle_as(&other[..1], true).is_err(), "one was not tried");
    section.settle_as(&other, true).unwrap();
    let written: Section<FileEntry> = Section::read_file(section.file).unwrap();
    written.settle_as(&other, false).unwrap();
}

#[test]
fn missing_bytes_are_blamed_only_where_bytes_are_missing() {
    let (_folder, section) = section();
    let found =
        |message: &str| section.settle_as(&[refused(message), Outcome::taken(Answer::Works)], true);
    for message in ["the file is damaged", "it is not JSON: fetch it again"] {
        assert!(found(message).is_err(), "{message}");
    }
    found("the file is cut short: fetch it again").unwrap();
}

#[test]
fn a_generator_without_an_entry_and_an_entry_without_a_generator_are_told() {
    let (_folder, section) = section();
    section.check_generators(["one", "two"]).unwrap();
    for generators in [&["one"][..], &["one", "two", "three"]] {
        assert!(section.check_generators(generators.iter().copied()).is_err());
    }
}

/// The issue asks for 80.
#[test]
fn issue_19_the_list_has_80_refusals_each_with_its_sentence() {
    let mut expected = Vec::new();
    for section in requests().unwrap() {
        expected.extend(section.entries.iter().map(Entry::expected));
    }
    for name in FILES {
        expected.extend(files(name).unwrap().entries.iter().map(Entry::expected));
    }
    let refused = expected.iter().filter(|outcome| outcome.answer.is_refusal());
    assert!(refused.count() >= 80);
    let is_said = |outcome: &&Outcome| outcome.message.is_some();
    let must_say = |outcome: &&Outcome| outcome.answer >= Answer::Warns;
    let said = expected.iter().filter(is_said).filter(must_say).count();
    assert_eq!(said, expected.iter().filter(must_say).count(), "each says why");
    assert_eq!(said, expected.iter().filter(is_said).count(), "what is taken says nothing");
}

#[test]
fn each_file_of_the_list_is_a_section() {
    for (folder, known) in [("requests", &REQUESTS[..]), ("files", &FILES[..])] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
        let entries = std::fs::read_dir(path).unwrap();
        let names: BTreeSet<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .map(|name| name.strip_suffix(".yaml").unwrap().to_owned())
            .collect();
        assert_eq!(names, known.iter().map(ToString::to_string).collect(), "{folder}");
    }
}
