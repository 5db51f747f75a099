use super::*;
use crate::outcome::Answer;

const LIST: &str = "\
# A comment.
title: Things
entries:
# About the first.
- what: one
  from: a
  answer: refused
  status: 404
  message: >-
    something else
    in two lines

# About the second.
- what: two
  fields:
    answer: no field of the list
  answer: works
";

#[test]
fn what_was_found_stands_at_the_end_of_its_entry_and_nothing_else_changes() {
    let found = [
        Outcome {
            param: Some("top_k".to_owned()),
            ..Outcome::said(Answer::Refused, "no such thing: give another")
        },
        Outcome::said(Answer::Warns, "  two blanks"),
    ];
    let written = record(LIST, &found);
    let expected = "\
# A comment.
title: Things
entries:
# About the first.
- what: one
  from: a
  answer: refused
  param: top_k
  message: >-
    no such thing: give another

# About the second.
- what: two
  fields:
    answer: no field of the list
  answer: warns
  message: \"  two blanks\"
";
    assert_eq!(written, expected);
    assert_eq!(record(&written, &found), expected);
}

#[test]
fn long_sentences_are_folded_and_read_as_they_were() {
    let long = "it says `--what: to do`, and # no comment, in words that are ".repeat(5);
    for text in [long.trim(), "Plain", "two: words", "- dash", "'quoted'", "\"", "a\nb", " a", "…"]
    {
        let lines = field("message", text);
        assert!(lines.iter().all(|line| line.chars().count() <= WIDTH), "{lines:?}");
        let yaml = format!("- what: a\n{}\n", lines.join("\n"));
        let read: Vec<std::collections::BTreeMap<String, String>> =
            serde_saphyr::from_str(&yaml).unwrap();
        assert_eq!(read[0]["message"], text);
    }
}
