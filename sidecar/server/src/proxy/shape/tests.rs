use super::*;
use serde_json::json;

#[test]
fn identifiers_are_not_words() {
    for name in ["chatcmpl-9f", "up-1", "meta-llama/Llama-3.1-8B", "call_1", "gpt-4o:2024"] {
        assert!(is_identifier(name), "{name}");
    }
    let long = "a1".repeat(65);
    for text in ["", "secret", "two words 2", "é1", "a\n1", "naïve-7", &long] {
        assert!(!is_identifier(text), "{text}");
    }
}

#[test]
fn only_what_fits_its_shape_stays() {
    const SHAPE: Shape = Shape::Object(&[
        ("id", Shape::Reference),
        ("count", Shape::Number),
        ("kind", Shape::Word(&["list"])),
        ("items", Shape::List(&Shape::Object(&[("on", Shape::Flag)]))),
    ]);
    let mut value = json!({
        "id": "m-1", "count": 2.5, "kind": "list", "more": "secret",
        "items": [{"on": true, "off": "secret"}, "secret", {"on": "secret"}],
    });
    assert!(SHAPE.keep(&mut value));
    let kept = json!({"id": "m-1", "count": 2.5, "kind": "list", "items": [{"on": true}, {}]});
    assert_eq!(value, kept);
    let mut odd = json!({"id": ["secret"], "count": "secret", "kind": "secret", "items": "secret"});
    assert!(SHAPE.keep(&mut odd));
    assert_eq!(odd, json!({}));
    assert!(!SHAPE.keep(&mut json!("secret")));
}

#[test]
fn embeddings_pass_in_base64_and_words_do_not() {
    use base64::Engine as _;
    let encode = |bytes: &[u8]| base64::engine::general_purpose::STANDARD.encode(bytes);
    let numbers: Vec<u8> = (0..64_u8).flat_map(|n| (f32::from(n) / 7.0).to_le_bytes()).collect();
    assert!(is_floats(&encode(&numbers)));
    let words = "the secret word is written here again and again until it is long enough: secret";
    assert!(!is_floats(&encode(words.as_bytes())));
    assert!(!is_floats("secret") && !is_floats(&encode(&numbers[..32])));
}
