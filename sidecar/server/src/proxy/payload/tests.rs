use super::*;
use serde_json::json;

#[allow(clippy::needless_pass_by_value, reason = "every caller makes it on the spot")]
fn one(choice: Value) -> ChoiceDelta {
    read(&json!({ "choices": [choice] })).unwrap().remove(0)
}

#[test]
fn everything_that_is_said_is_read() {
    assert_eq!(
        one(json!({ "index": 1, "delta": { "role": "assistant", "content": "Hi" } })).text,
        "Hi"
    );
    assert_eq!(
        one(json!({ "text": " there", "finish_reason": "length" })).finish,
        Some(Finish::Length)
    );
    let function = json!({ "name": "mail", "arguments": "{\"to\": 1}" });
    let call = json!({ "message": { "content": null, "tool_calls": [
        { "id": "call_1", "type": "function", "function": function }
    ] } });
    assert_eq!(one(call).text, "mail{\"to\": 1}");
    assert_eq!(
        one(
            json!({ "delta": { "reasoning_content": "hm", "content": "x", "anything_new": ["y"] } })
        )
        .text,
        "hmxy"
    );
    assert_eq!(
        one(json!({ "message": { "content": [{ "type": "text", "text": "a" }] } })).text,
        "a"
    );
    assert_eq!(read(&json!({ "choices": [], "usage": {} })), Ok(vec![]));
    assert_eq!(read(&json!({ "error": { "message": "no" } })), Ok(vec![]));
}

#[test]
fn plain_content_alone_is_shortened() {
    let mut plain = json!({
        "index": 1, "message": { "role": "assistant", "content": "Été. Non." }, "logprobs": {}
    });
    assert!(shorten(&mut plain, 7, "[x]"));
    assert_eq!(
        plain,
        json!({
            "index": 1, "message": { "role": "assistant", "content": "Été. [x]" }, "logprobs": null
        })
    );
    let call = json!({ "function": { "name": "a", "arguments": "b. c" } });
    for odd in [
        json!({ "message": { "content": "a. b", "reasoning": "c" } }),
        json!({ "delta": { "content": "a", "tool_calls": [call] } }),
        json!({ "text": "é" }),
    ] {
        let mut same = odd.clone();
        assert!(!shorten(&mut same, 1, ""));
        assert_eq!(same, odd);
    }
    assert!(one(json!({ "delta": { "tool_calls": [call] } })).is_whole);
    assert!(!one(json!({ "delta": { "content": "a", "tool_calls": null } })).is_whole);
}

#[test]
fn what_is_not_text_or_not_openai_is_told_apart() {
    for odd in [
        json!([]),
        json!({ "response": "text in another format" }),
        json!({ "choices": "x" }),
        json!({ "choices": [1] }),
        json!({ "choices": [{ "index": 128 }] }),
        json!({ "choices": [{ "index": -1 }] }),
        json!({ "choices": [{ "message": { "audio": { "data": "AAAA" } } }] }),
        json!({
            "choices": [
                { "delta": { "content": [{ "type": "image_url", "image_url": { "url": "x" } }] } }
            ]
        }),
    ] {
        assert!(read(&odd).is_err(), "{odd}");
    }
}
