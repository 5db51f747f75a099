use super::support::read_file;
use serde_json::json;

fn row(question: &str) -> String {
    json!({"messages": [{"role": "user", "content": question},
        {"role": "assistant", "content": "Yes."}]})
    .to_string()
}

/// Twenty good lines with a bad one in their middle: refused with this reason, or left out.
fn is_bad(line: &str, reason: &str) {
    let mut lines: Vec<String> = (0..20).map(|n| row(&format!("Is pier {n} open?"))).collect();
    lines.insert(10, line.to_owned());
    let text = lines.join("\n");
    let refused = read_file("data.jsonl", text.as_bytes(), false).unwrap_err().with_causes();
    assert!(refused.contains(&format!("line 11: {reason}")), "{refused}");
    let (read, reading) = read_file("data.jsonl", text.as_bytes(), true).unwrap();
    assert_eq!((read.len(), read[9].line, read[10].line), (20, 10, 12));
    let said = reading.to_string();
    assert!(said.starts_with(&format!("left out as invalid: 1\n  line 11: {reason}")), "{said}");
    assert!(!said.contains("secret"), "{said}");
}

#[test]
fn item_19_a_bad_line_is_named_or_skipped_with_its_reason() {
    is_bad(&row("secret")[..40], "is cut: its JSON ends unfinished at byte");
    is_bad(&row("secret \\ud83d now").replace("\\\\ud83d", "\\ud83d"), "is not JSON: ");
    is_bad(&row(&"secret ".repeat(700_000)), "is longer than 4194304 bytes");
    is_bad("null", "is null, not a conversation");
    is_bad("secret words", "is not JSON: expected value at byte 1");
    is_bad("{'messages': 'secret'}", "is not JSON: key must be a string at byte 2");
    is_bad(r#"{"messages": [{"role": "system", "content": "secret"}]}"#, "has no user message");
    let many = json!({"messages": vec![json!({"role": "user", "content": "secret"}); 1001]});
    is_bad(&many.to_string(), "has more than 1000 messages");
}

#[test]
fn item_19_what_only_looks_bad_is_read() {
    let good = row("Open\u{0}?");
    let with = |more: &str| format!("{}, {more}}}", good.strip_suffix('}').unwrap());
    let lines = [
        good.clone(),
        with("\"loss\": NaN, \"scores\": [-Infinity, Infinity]"),
        with("\"id\": 123456789012345678901234567890"),
        with("\"said\": \"NaN \\\" Infinity\""),
        format!("{{\"messages\": [], {}", &good[1..]),
    ];
    let (read, _) = read_file("data.jsonl", lines.join("\r\n").as_bytes(), false).unwrap();
    assert_eq!(read.len(), 5);
    assert_eq!(read[1].fields["scores"], json!([null, null]));
    assert_eq!(read[3].fields["said"], "NaN \" Infinity");
    assert_eq!(read[0].prompt[0]["content"], "Open\u{0}?");
}

#[test]
fn item_19_ten_reasons_are_kept_and_all_are_counted() {
    let text = format!("{}{}", row("Hi?\n").replace('\n', ""), "\nnull".repeat(12));
    let (_, reading) = read_file("data.jsonl", text.as_bytes(), true).unwrap();
    let said = reading.to_string();
    assert_eq!(reading.skipped.count(), 12);
    assert!(
        said.starts_with("left out as invalid: 12\n") && said.ends_with("  and 2 more\n"),
        "{said}"
    );
    assert_eq!(said.matches("  line ").count(), 10);
    let none = read_file("data.jsonl", "null\n".repeat(3).as_bytes(), true).unwrap_err();
    assert!(none.to_string().contains("no sample can be read; line 1: is null"), "{none}");
}
