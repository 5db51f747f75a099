use super::*;
use proptest::prelude::*;

fn reader(form: ToolCallFormat, most: usize) -> CallReader {
    CallReader::new(Arc::new(Callables {
        format: form,
        names: vec!["f".to_owned(), "g".to_owned()],
        max_calls: most,
    }))
}

/// What comes of a text in these pieces: text, and calls as `name(arguments)`.
fn read(form: ToolCallFormat, most: usize, pieces: &[&str], whole: bool) -> (String, Vec<String>) {
    let mut reader = reader(form, most);
    let (mut text, mut calls) = (String::new(), Vec::new());
    let mut take = |reader: &mut CallReader| {
        while let Some(part) = reader.next() {
            match part {
                Part::Text(piece) => text.push_str(&piece.text),
                Part::Thought(text) => panic!("{text}"),
                Part::Call(call) => {
                    assert_eq!(call.index, calls.len());
                    calls.push(format!("{}({})", call.name, call.arguments));
                }
            }
        }
    };
    for piece in pieces {
        reader.push(Piece { text: (*piece).to_owned(), logprob: None });
        take(&mut reader);
    }
    if whole {
        reader.finish();
    } else {
        reader.discard();
    }
    take(&mut reader);
    (text, calls)
}

fn tagged(text: &str) -> (String, Vec<String>) {
    read(ToolCallFormat::Hermes, 9, &[text], true)
}

fn said(text: &str, calls: &[&str]) -> (String, Vec<String>) {
    (text.to_owned(), calls.iter().map(|&call| call.to_owned()).collect())
}

const F: &str = "<tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": 1}}\n</tool_call>";

#[test]
fn calls_are_read_and_everything_else_is_text() {
    assert_eq!(tagged(F), said("", &["f({\"a\":1})"]));
    let twice = format!("Let me see.\n\n{F}\n{}\n", F.replace("\"f\"", "\"g\""));
    assert_eq!(tagged(&twice), said("Let me see.", &["f({\"a\":1})", "g({\"a\":1})"]));
    assert_eq!(tagged(&format!("{F} Done. ")), said(" Done. ", &["f({\"a\":1})"]));
    for text in [
        "a < b <tool_cal> c ",
        "<tool_call>{\"name\": \"h\", \"arguments\": {}}</tool_call>",
        "<tool_call>{\"name\": \"f\", \"arguments\": \"{}\"}</tool_call>",
        "<tool_call>{\"name\": \"f\"}</tool_call>",
        "<tool_call>f(1)</tool_call> <tool",
        "<tool_call>{\"name\": \"f\", \"argu",
        " \n",
        "",
    ] {
        assert_eq!(tagged(text), said(text, &[]), "{text}");
    }
}

#[test]
fn a_cut_answer_brings_whole_calls_and_no_half_one() {
    let half = format!("Yes. {F}\n<tool_call>\n{{\"name\": \"f\", \"arguments\": {{\"a\"");
    assert_eq!(read(ToolCallFormat::Hermes, 9, &[&half], false), said("Yes.", &["f({\"a\":1})"]));
    assert_eq!(read(ToolCallFormat::Llama3, 1, &["{\"name\": \"f\", \"par"], false), said("", &[]));
}

#[test]
fn nothing_follows_the_last_call_that_may_be() {
    let twice = format!("{F}\n{F} and more");
    assert_eq!(read(ToolCallFormat::Hermes, 1, &[&twice, "!"], true), said("", &["f({\"a\":1})"]));
}

#[test]
fn a_bare_call_is_the_whole_answer() {
    let call = "\n{\"name\": \"f\", \"parameters\": {\"a\": {}}}";
    assert_eq!(read(ToolCallFormat::Llama3, 1, &[call, "; x"], true), said("", &["f({\"a\":{}})"]));
    for text in [
        "Hi {",
        "{\"a\": {}} b",
        "{} ",
        "{ x }",
        "{\"name\": \"h\", \"parameters\": {}}",
        "{\"name\"",
        " ",
    ] {
        assert_eq!(read(ToolCallFormat::Llama3, 1, &[text], true), said(text, &[]), "{text}");
    }
}

proptest! {
    #[test]
    fn cuts_do_not_matter(
        cuts in prop::collection::vec(0_usize..400, 0..30),
        text in "(Ä|<tool_call>|</tool_call>| |\\{\\}|F){0,12}",
    ) {
        let text = text.replace('F', F);
        let within = cuts.into_iter().filter(|cut| text.is_char_boundary(*cut));
        let mut cuts: Vec<_> = within.chain([0, text.len()]).collect();
        cuts.sort_unstable();
        let pieces: Vec<_> = cuts.windows(2).map(|cut| &text[cut[0]..cut[1]]).collect();
        for form in [ToolCallFormat::Hermes, ToolCallFormat::Llama3] {
            let (whole, cut) = (read(form, 3, &[&text], true), read(form, 3, &pieces, true));
            prop_assert_eq!(&whole, &cut);
            // Of a cut answer, nothing that the whole one does not say.
            let (said, calls) = read(form, 3, &pieces[..pieces.len() / 2], false);
            prop_assert!(whole.0.starts_with(&said) && whole.1.starts_with(&calls));
        }
    }
}
