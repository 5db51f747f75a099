use super::*;

#[test]
fn a_pass_ends_between_two_words() {
    for (text, boundary) in [
        ("two words", Some(3)),
        ("a line.\n\nThe next line", Some(18)),
        ("ends in a line.\n", Some(9)),
        ("spaces  here", None),
        ("code:\n    indented", None),
        ("one, two", None),
        ("word ", None),
        ("字字字", None),
        ("é字 x", Some(5)),
    ] {
        assert_eq!(last_boundary(text), boundary, "{text:?}");
    }
}

#[test]
fn a_pass_never_ends_between_newlines() {
    let mut text = ScoredText::default();
    text.push(&"word\n\n".repeat(10));
    assert_eq!(text.next_pass(false), None);
    text.push("and two words");
    assert_eq!(text.next_pass(false), Some(60 + "and two".len()));
}
