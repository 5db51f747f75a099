use super::*;

/// Reasoning and answer of a text that comes in these pieces.
fn sorted(begun: Option<&'static str>, pieces: &[&str]) -> (String, String) {
    let mut reader = ReasoningReader::new(begun, true);
    let (mut thought, mut said) = (String::new(), String::new());
    let mut take = |reader: &mut ReasoningReader| {
        while let Some(sorted) = reader.next() {
            match sorted {
                Sorted::Thought(piece) => thought.push_str(&piece.text),
                Sorted::Said(piece) => said.push_str(&piece.text),
            }
        }
    };
    for piece in pieces {
        reader.push(Piece { text: (*piece).to_owned(), logprob: None });
        take(&mut reader);
    }
    reader.finish();
    take(&mut reader);
    (thought, said)
}

#[test]
fn reasoning_is_taken_apart_at_any_cut_into_pieces() {
    let close = Some("</think>");
    let thought_and_final = "<|channel|>analysis<|message|>Hm.<|end|>".to_owned()
        + "<|start|>assistant<|channel|>final<|message|>Yes.";
    for (begun, text, thought, said) in [
        (None, "<think>\nHm, so.\n</think>\n\nYes.", "Hm, so.", "Yes."),
        (None, "\n<think>a < b</think>c", "a < b", "c"),
        (None, "<thinking> a </thinking> b ", "a", "b "),
        (None, "<think></think>Yes.", "", "Yes."),
        (None, "Yes.", "", "Yes."),
        (None, " Yes: <think>no</think>", "", " Yes: <think>no</think>"),
        (None, "<th", "", "<th"),
        (None, "<think>a", "a", ""),
        (None, "", "", ""),
        (close, "\na\n\nb</think>\nc</think>", "a\n\nb", "c</think>"),
        (close, "cut off </th", "cut off </th", ""),
        (close, "a</think>\n", "a", ""),
        (None, "<think>é</think>ü", "é", "ü"),
        (None, &thought_and_final, "Hm.", "Yes."),
        (None, "<|channel|>final<|message|>Yes.", "", "Yes."),
        (None, "<|channel|>analysis<|message|>Hm.<|end|><|start|>assi", "Hm.", ""),
        (None, "<|channel|>analysis<|message|>cut o", "cut o", ""),
    ] {
        let whole = sorted(begun, &[text]);
        assert_eq!(whole, (thought.to_owned(), said.to_owned()), "{text}");
        let letters: Vec<String> = text.chars().map(String::from).collect();
        let letters: Vec<&str> = letters.iter().map(String::as_str).collect();
        assert_eq!(sorted(begun, &letters), whole, "{text}");
    }
}
