use super::*;
use proptest::prelude::*;
use serde_json::json;

fn chain(length: usize) -> Vec<String> {
    let mut head = Head::default();
    let seal = |number| {
        let (line, next) =
            seal(&head, "2026-11-24T12:00:00Z", &json!({ "score": number })).unwrap();
        head = next;
        line.trim_end().to_owned()
    };
    (0..length).map(seal).collect()
}

fn is_intact(lines: &[String]) -> bool {
    let mut head = Head::default();
    lines.iter().all(|line| {
        let line = open(line).ok().filter(|line| line.follows(&head));
        line.map(|line| head = line.head).is_some()
    })
}

proptest! {
    #[test]
    fn any_changed_byte_any_gap_and_any_other_order_shows(
        length in 2..12_usize,
        line in 0..12_usize,
        at in 0..300_usize,
        byte in 32..127_u8,
        other in 0..12_usize,
    ) {
        let lines = chain(length);
        prop_assert!(is_intact(&lines));
        let (line, other) = (line % length, other % length);
        let mut edited = lines.clone();
        let at = at % edited[line].len();
        edited[line].replace_range(at..=at, &char::from(byte).to_string());
        prop_assert_eq!(is_intact(&edited), edited == lines);
        let mut swapped = lines.clone();
        swapped.swap(line, other);
        prop_assert_eq!(is_intact(&swapped), line == other);
        let mut gap = lines.clone();
        gap.remove(line);
        prop_assert_eq!(is_intact(&gap), line == length - 1);
        let mut twice = lines.clone();
        twice.insert(other, lines[line].clone());
        prop_assert!(!is_intact(&twice));
    }

    #[test]
    fn any_text_is_opened_or_refused(text in ".{0,300}") {
        prop_assert!(open(&text).is_err());
    }
}

#[test]
fn an_anchor_reads_as_it_is_written_and_nothing_else_is_one() {
    let head = Head { seq: 12, hash: "0af3".repeat(16) };
    assert_eq!(head.to_string().parse(), Ok(head.clone()));
    for wrong in ["", "12", &head.hash, &format!("-1:{}", head.hash), "12:0af3", "x:y"] {
        assert_eq!(wrong.parse::<Head>(), Err(InvalidHead), "{wrong}");
    }
}
