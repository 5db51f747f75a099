use super::*;

#[allow(clippy::needless_pass_by_value, reason = "nearly every caller makes it on the spot")]
fn chat(messages: Value) -> Result<ProxiedRequest, Unreadable> {
    ProxiedRequest::read(
        Api::Chat,
        json!({ "messages": messages, "unknown": [1] }).to_string().as_bytes(),
    )
}

#[test]
fn text_is_read_however_it_is_wrapped() {
    let plain = chat(json!([{ "role": "system", "content": "ab" }])).unwrap();
    let parts = json!([
        {
            "role": "developer",
            "content": [{ "type": "text", "text": "a" }, { "type": "text", "text": "b" }]
        }
    ]);
    assert_eq!(chat(parts).unwrap(), plain);
    assert_eq!(plain.n, 1);
    assert!(chat(json!([{ "role": "assistant", "content": null, "tool_calls": [] }])).is_ok());
    let text = |prompt: Value| {
        ProxiedRequest::read(Api::Text, json!({ "prompt": prompt, "n": 2 }).to_string().as_bytes())
    };
    for good in [json!("a"), json!(["a", "b"]), json!([1, 2]), json!([[1, 2], [3]])] {
        assert_eq!(text(good).unwrap().n, 2);
    }
    for bad in [json!(""), json!([]), json!([1, "a"]), json!({}), json!([-1]), json!([[]])] {
        assert!(text(bad.clone()).is_err(), "{bad}");
    }
}

#[test]
fn what_is_not_text_cannot_be_scored() {
    for odd in [
        json!([]),
        json!("hi"),
        json!([1]),
        json!([{ "role": "user", "content": 1 }]),
        json!([
            {
                "role": "user",
                "content": [{ "type": "image_url", "image_url": { "url": "data:" } }]
            }
        ]),
        json!([{ "role": "user", "content": [{ "type": "input_audio", "input_audio": {} }] }]),
        json!([{ "role": "user", "content": [{ "type": "text", "text": 1 }] }]),
    ] {
        assert!(chat(odd.clone()).is_err(), "{odd}");
    }
    for body in [
        "",
        "{",
        "[]",
        r#"{"messages":[{"role":"user","content":"a"}],"n":0}"#,
        r#"{"messages":[{}],"n":1e9}"#,
    ] {
        assert!(ProxiedRequest::read(Api::Chat, body.as_bytes()).is_err(), "{body}");
    }
    assert!(ProxiedRequest::read(Api::Foreign, b"{}").is_err());
}
