use super::*;

#[test]
fn a_pass_ends_between_two_words() {
    for (text, boundary) in [
        ("two words", Some(3)),
        ("a line.\n\nThe next line", Some(17)),
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
    text.push(&"word\n\n".repeat(10), &TokenIds::Unknown);
    assert_eq!(text.next_pass(false), None);
    text.push("and two words", &TokenIds::Unknown);
    assert_eq!(text.next_pass(false), Some(60 + "and two".len()));
}

#[test]
fn tokens_of_the_server_count_while_it_gives_them_for_all_of_its_text() {
    let mut text = ScoredText::default();
    text.push("ab", &TokenIds::Given(vec![1, 2]));
    assert_eq!((text.next_pass(true), text.given(2)), (Some(2), Some(&[1, 2][..])));
    text.advance(2, &[1, 2], &[1, 1]);
    assert_eq!(text.given(2), None);
    text.push("", &TokenIds::Absent);
    text.push("c d", &TokenIds::Given(vec![3]));
    assert_eq!(text.given(5), Some(&[3][..]));
    text.push("e", &TokenIds::Unknown);
    assert_eq!((text.given(6), text.next_pass(true)), (None, Some(3)));
}

#[test]
fn a6_what_a_pass_leaves_is_read_next_as_the_same_tokens() {
    let mut text = ScoredText::default();
    text.push("abcdef", &TokenIds::Unknown);
    assert_eq!(text.last_pass(), 6);
    text.advance(2, &[1], &[2]);
    text.leave(vec![2, 3], 6);
    text.push("g h", &TokenIds::Unknown);
    assert_eq!((text.next_pass(false), text.last_pass()), (Some(6), 6));
    assert_eq!((text.given(6), text.unscored(6)), (Some(&[2, 3][..]), "cdef"));
    text.advance(6, &[2, 3], &[2, 2]);
    assert_eq!((text.given(9), text.next_pass(true), text.last_pass()), (None, Some(7), 9));
}
