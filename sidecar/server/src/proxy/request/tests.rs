use super::*;
use serde_json::json;

#[allow(clippy::needless_pass_by_value, reason = "nearly every caller makes it on the spot")]
fn chat(messages: Value) -> Result<ProxiedRequest, Unreadable> {
    ProxiedRequest::read(
        Api::Chat,
        json!({ "messages": messages, "unknown": [1] }).to_string().as_bytes(),
    )
}

#[test]
fn text_is_read_however_it_is_wrapped() {
    let plain = chat(json!([{ "role": "system", "content": "a\nb" }])).unwrap();
    let parts = json!([
        {
            "role": "developer",
            "content": [{ "type": "text", "text": "a" }, { "type": "text", "text": "b" }]
        }
    ]);
    assert_eq!(chat(parts).unwrap().prompt, plain.prompt);
    assert_eq!(plain.n, 1);
    assert!(chat(json!([{ "role": "assistant", "content": null, "tool_calls": [] }])).is_ok());
    let text = |prompt: Value| {
        ProxiedRequest::read(
            Api::Completions,
            json!({ "prompt": prompt, "n": 2 }).to_string().as_bytes(),
        )
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
}

#[test]
fn numbers_and_flags_are_read_as_servers_read_them() {
    let read = |fields: &str| {
        let body = format!(r#"{{"messages":[{{"role":"user","content":"a"}}],{fields}}}"#);
        ProxiedRequest::read(Api::Chat, body.as_bytes())
    };
    for (fields, n, stream) in [
        (r#""n": 1.0"#, 1, false),
        (r#""n": "2", "stream": "true""#, 2, true),
        (r#""n": true, "stream": 1"#, 1, true),
        (r#""n": "3.0", "stream": 1.0"#, 3, true),
        (r#""n": NaN, "temperature": -Infinity"#, 1, false),
        (r#""n": 128, "stream": "no""#, 128, false),
    ] {
        let request = read(fields).unwrap();
        assert_eq!((request.n, request.stream), (n, stream), "{fields}");
    }
    for fields in [
        r#""n": 129"#,
        r#""n": 1.5"#,
        r#""n": [1]"#,
        r#""n": -1"#,
        r#""N": 2"#,
        r#""Messages": []"#,
        r#""me\u017f\u017fages": []"#,
        "\"to\u{212a}en\": 1, \"\u{17f}tream\": 1",
        r#""chat_template": "x""#,
        r#""truncate_prompt_tokens": "x""#,
    ] {
        assert!(read(fields).is_err(), "{fields}");
    }
    let nested = format!(r#""unused": {}{}"#, "[".repeat(200), "]".repeat(200));
    assert!(read(&nested).is_ok());
    let marked = "\u{feff}{\"messages\":[{\"role\":\"user\",\"content\":\"\\ud800\"}]}";
    let request = ProxiedRequest::read(Api::Chat, marked.as_bytes()).unwrap();
    assert_eq!(request.messages()[0]["content"], "\u{fffd}");
    assert!(serde_json::from_slice::<Value>(&request.body).is_ok(), "what is sent on is JSON");
}

#[test]
fn of_fields_told_twice_the_server_reads_the_one_that_is_scored() {
    let body = br#"{"messages":[{"role":"user","content":"first"}],
        "messages":[{"role":"user","content":"last"}]}"#;
    let request = ProxiedRequest::read(Api::Chat, body).unwrap();
    assert_eq!(request.messages()[0]["content"], "last");
    assert!(!String::from_utf8_lossy(&request.body).contains("first"));
}

#[test]
fn arguments_of_calls_become_objects() {
    let with = |arguments: Value| {
        let call = json!({ "function": { "name": "f", "arguments": arguments } });
        let turn = json!([{ "role": "assistant", "content": null, "tool_calls": [call] }]);
        chat(turn).unwrap().messages()[0]["tool_calls"][0]["function"]["arguments"].clone()
    };
    assert_eq!(with(json!({ "a": 1 })), json!({ "a": 1 }));
    assert_eq!(with(json!("{\"a\": 1}")), json!({ "a": 1 }));
    assert_eq!((with(json!("")), with(json!(null))), (json!({}), json!({})));
    assert_eq!(with(json!("{cut")), json!("{cut"));
}

#[test]
fn the_other_chat_apis_come_down_to_messages() {
    let read = |api, body: Value| ProxiedRequest::read(api, body.to_string().as_bytes());
    let expected = json!([
        { "role": "system", "content": "Be kind." },
        { "role": "user", "content": "Hi" },
        { "role": "assistant", "content": "", "tool_calls": [
            { "id": "c1", "type": "function", "function": { "name": "f",
            "arguments": { "a": 1 } } }] },
        { "role": "tool", "tool_call_id": "c1", "content": "done" },
    ]);
    let tools = json!([{ "type": "function", "function":
        { "name": "f", "description": "", "parameters": {} } }]);
    let messages = read(
        Api::Messages,
        json!({
            "system": [{ "type": "text", "text": "Be kind." }], "max_tokens": 9,
            "messages": [
                { "role": "user", "content": "Hi" },
                { "role": "assistant", "content": [
                    { "type": "thinking", "thinking": "hm", "signature": "x" },
                    { "type": "tool_use", "id": "c1", "name": "f", "input": { "a": 1 } }] },
                { "role": "user", "content": [
                    { "type": "tool_result", "tool_use_id": "c1", "content": "done" }] },
            ],
            "tools": [{ "name": "f", "input_schema": {} }],
        }),
    )
    .unwrap();
    assert_eq!(json!(messages.messages()), expected);
    let Prompt::Chat(prompt) = &messages.prompt else { panic!("a chat") };
    assert_eq!(prompt.variables["tools"], tools);
    let responses = read(Api::Responses, json!({
        "instructions": "Be kind.",
        "input": [
            { "role": "user", "content": [{ "type": "input_text", "text": "Hi" }] },
            { "type": "reasoning", "summary": [] },
            { "type": "function_call", "call_id": "c1", "name": "f", "arguments": "{\"a\": 1}" },
            { "type": "function_call_output", "call_id": "c1", "output": "done" },
        ],
    })).unwrap();
    assert_eq!(json!(responses.messages()), expected);
    for odd in [
        json!({ "input": "Hi", "previous_response_id": "resp_1" }),
        json!({ "input": [{ "role": "user", "content": [{ "type": "input_image" }] }] }),
        json!({ "input": "Hi", "tools": [{ "type": "web_search" }] }),
        json!({ "input": [] }),
        json!({}),
    ] {
        assert!(read(Api::Responses, odd.clone()).is_err(), "{odd}");
    }
}
