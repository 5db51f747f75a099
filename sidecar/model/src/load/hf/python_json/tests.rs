use super::*;
use serde_json::json;

#[test]
fn item_19_what_python_writes_is_read() {
    for (text, expected) in [
        ("\u{feff}{\"a\": 1}", json!({"a": 1})),
        (
            "{\"a\": [0.0, Infinity], \"b\": -Infinity}",
            json!({"a": [0.0, "Infinity"], "b": "-Infinity"}),
        ),
        ("{\"a\": NaN, \"b\": \"NaN, \\\"Infinity\"}", json!({"a": "NaN", "b": "NaN, \"Infinity"})),
        (r#"{"a": "\ud800x", "b": NaN}"#, json!({"a": "\u{fffd}x", "b": "NaN"})),
        (
            r#"["\ud83d\ude00", "\\ud800", "\udc00\ud800"]"#,
            json!(["😀", "\\ud800", "\u{fffd}\u{fffd}"]),
        ),
        (
            "{\"model_max_length\": 1000000000000000019884624838656}",
            json!({"model_max_length": 1e30}),
        ),
    ] {
        assert_eq!(parse("a.json", text.as_bytes()).unwrap(), expected, "{text}");
    }
}

#[test]
fn item_19_what_is_no_json_is_named() {
    for (bytes, message) in [
        (&b"\xff\xfe{\0}\0"[..], "is UTF-16"),
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"{\"a\": \"\xff\"}", "is not UTF-8"),
        (b"{", "is not JSON"),
        (b"{\"a\": Nan}", "is not JSON"),
    ] {
        let error = parse("a.json", bytes).unwrap_err().to_string();
        assert!(error.contains(&format!("a.json {message}")), "{error}");
    }
}
