use super::*;

/// The section of each byte: `r`, `a` or `?`. Text in brackets comes in a field for reasoning.
fn sections(mut reader: SectionReader, pieces: &[&str]) -> String {
    for piece in pieces {
        match piece.strip_prefix('{').and_then(|piece| piece.strip_suffix('}')) {
            Some(reasoning) => reader.push_reasoning(reasoning),
            None => reader.push(piece),
        }
    }
    let of = |byte: usize| match reader.section(byte) {
        Section::Unknown => '?',
        Section::Reasoning => 'r',
        Section::Answer => 'a',
    };
    (1..=reader.bytes()).map(of).collect()
}

fn letters(text: &str) -> Vec<String> {
    text.chars().map(String::from).collect()
}

#[test]
fn tags_divide_a_response_at_any_cut_into_pieces() {
    let close = Some("</think>");
    for (begun, text, expected) in [
        (None, "<think>a</think>b", "rrrrrrrrrrrrrrrra"),
        (None, " <think>a", "rrrrrrrrr"),
        (None, "Yes <think>", "aaaaaaaaaaa"),
        (None, "", ""),
        (None, " <th", "????"),
        (None, " <thx", "aaaaa"),
        // Nested and repeated tags: the first that closes ends it for good.
        (None, "<think><think></think>a</think>", "rrrrrrrrrrrrrrrrrrrrrraaaaaaaaa"),
        (None, "<think></think><think>", "rrrrrrrrrrrrrrraaaaaaa"),
        // Another tag's end is none.
        (None, "[THINK]</think>", "rrrrrrrrrrrrrrr"),
        (close, "a</think>b", "rrrrrrrrra"),
        (close, "a", "r"),
        (close, "<think>a</think>b", "rrrrrrrrrrrrrrrra"),
    ] {
        let reader = SectionReader::of_model(begun);
        assert_eq!(sections(reader.clone(), &[text]), expected, "{text}");
        let pieces = letters(text);
        let pieces: Vec<_> = pieces.iter().map(String::as_str).collect();
        assert_eq!(sections(reader, &pieces), expected, "{text}");
    }
}

#[test]
fn where_another_server_may_have_taken_the_reasoning_out_a_text_counts_for_both() {
    let reader = SectionReader::of_server(Some("</think>"));
    assert_eq!(sections(reader.clone(), &["an answer"]), "?????????");
    assert_eq!(sections(reader.clone(), &["a</think>", "b"]), "rrrrrrrrra");
    assert_eq!(sections(reader, &["{a}", "b"]), "ra");
    assert_eq!(sections(SectionReader::undivided(), &["<think>a", "{b}"]), "?????????");
}

#[test]
fn fields_divide_a_response_and_no_field_or_tag_takes_back_an_answer() {
    let reader = SectionReader::of_server(None);
    for (pieces, expected) in [
        (&["", "{a}", "\n", "{b}", "c"][..], "rrra"),
        (&["{a}", "b", "{c}", "<think>d"], "raaaaaaaaaa"),
        (&["a", "{b}"], "aa"),
        // An answer that is smuggled into the field behind a tag.
        (&["{a</th}", "{ink>b}"], "rrrrrrrrra"),
        (&["{a</thinking>b}", "c"], "rrrrrrrrrrrraa"),
        // Both: a tag in the text, and then a field.
        (&["<think>a", "{b}", "c"], "rrrrrrrrra"),
    ] {
        assert_eq!(sections(reader.clone(), pieces), expected, "{pieces:?}");
    }
}
