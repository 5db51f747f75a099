//! Bad requests: each has an exact status, the error shape of OpenAI's API, and leaves the sidecar
//! serving.

mod messages;
mod tools;

use crate::rig::{MODEL, Rig, chat, with};
use serde_json::{Value, json};

/// Fields of a sound request, replaced one at a time.
fn replaced(field: &str, value: Value) -> Vec<u8> {
    with(chat("Hi"), json!({ field: value })).to_string().into_bytes()
}

fn without(field: &str) -> Vec<u8> {
    let mut body = chat("Hi");
    body.as_object_mut().unwrap().remove(field);
    body.to_string().into_bytes()
}

fn messages(value: Value) -> Vec<u8> {
    replaced("messages", value)
}

fn tool(parameters: Value) -> Value {
    json!({ "type": "function", "function": { "name": "f", "parameters": parameters } })
}

fn with_tools(tools: Value, choice: Value) -> Vec<u8> {
    with(chat("Hi"), json!({ "tools": tools, "tool_choice": choice })).to_string().into_bytes()
}

fn call(arguments: &str) -> Value {
    json!({ "id": "a", "type": "function", "function": { "name": "f", "arguments": arguments } })
}

/// Name, body, status, code, param.
type Case = (&'static str, Vec<u8>, u16, &'static str, Value);

/// Bad requests, but for those of messages and tools.
fn table() -> Vec<Case> {
    let user = |content: Value| json!([{ "role": "user", "content": content }]);
    let none = Value::Null;
    vec![
        ("empty body", vec![], 400, "invalid_json", none.clone()),
        ("not JSON", b"hello".to_vec(), 400, "invalid_json", none.clone()),
        ("cut off", br#"{"model": "x", "#.to_vec(), 400, "invalid_json", none.clone()),
        ("an array", b"[]".to_vec(), 400, "invalid_json", none.clone()),
        ("a string", br#""hello""#.to_vec(), 400, "invalid_json", none.clone()),
        (
            "too deep",
            [vec![b'['; 5000], vec![b']'; 5000]].concat(),
            400,
            "invalid_json",
            none.clone(),
        ),
        ("invalid UTF-8", b"{\"model\": \"\xff\xfe\"}".to_vec(), 400, "invalid_utf8", none.clone()),
        ("lone surrogate", br#"{"model": "\ud800"}"#.to_vec(), 400, "invalid_json", none.clone()),
        ("too large", vec![b' '; (1 << 20) + 1], 413, "request_too_large", none.clone()),
        ("far too large", vec![b' '; 50 << 20], 413, "request_too_large", none.clone()),
        ("no model", without("model"), 400, "missing_required_parameter", json!("model")),
        (
            "unknown model",
            replaced("model", json!("gpt-9")),
            404,
            "model_not_found",
            json!("model"),
        ),
        ("model is a number", replaced("model", json!(4)), 400, "invalid_type", json!("model")),
        (
            "model is null",
            replaced("model", none.clone()),
            400,
            "missing_required_parameter",
            json!("model"),
        ),
        ("no messages", without("messages"), 400, "missing_required_parameter", json!("messages")),
        ("empty messages", messages(json!([])), 400, "empty_array", json!("messages")),
        ("messages is a string", messages(json!("hi")), 400, "invalid_type", json!("messages")),
        (
            "max_tokens 0",
            replaced("max_tokens", json!(0)),
            400,
            "integer_below_min_value",
            json!("max_tokens"),
        ),
        (
            "max_tokens negative",
            replaced("max_tokens", json!(-5)),
            400,
            "integer_below_min_value",
            json!("max_tokens"),
        ),
        (
            "max_tokens huge",
            replaced("max_tokens", json!(u64::MAX)),
            400,
            "context_length_exceeded",
            json!("messages"),
        ),
        (
            "max_tokens past the context",
            replaced("max_tokens", json!(511)),
            400,
            "context_length_exceeded",
            json!("messages"),
        ),
        (
            "max_tokens decimal",
            replaced("max_tokens", json!(1.5)),
            400,
            "invalid_type",
            json!("max_tokens"),
        ),
        (
            "max_tokens beyond integers",
            replaced("max_tokens", json!(1e30)),
            400,
            "invalid_type",
            json!("max_tokens"),
        ),
        (
            "max_tokens is a string",
            replaced("max_tokens", json!("9")),
            400,
            "invalid_type",
            json!("max_tokens"),
        ),
        (
            "two limits",
            replaced("max_completion_tokens", json!(9)),
            400,
            "invalid_value",
            json!("max_tokens"),
        ),
        (
            "prompt past the context",
            messages(user(json!("sea ".repeat(2000)))),
            400,
            "context_length_exceeded",
            json!("messages"),
        ),
        (
            "temperature 3",
            replaced("temperature", json!(3)),
            400,
            "invalid_value",
            json!("temperature"),
        ),
        (
            "temperature negative",
            replaced("temperature", json!(-0.1)),
            400,
            "invalid_value",
            json!("temperature"),
        ),
        (
            "temperature is a string",
            replaced("temperature", json!("hot")),
            400,
            "invalid_type",
            json!("temperature"),
        ),
        ("top_p 1.1", replaced("top_p", json!(1.1)), 400, "invalid_value", json!("top_p")),
        ("top_k 0", replaced("top_k", json!(0)), 400, "integer_below_min_value", json!("top_k")),
        (
            "presence_penalty 3",
            replaced("presence_penalty", json!(3)),
            400,
            "invalid_value",
            json!("presence_penalty"),
        ),
        ("seed decimal", replaced("seed", json!(0.5)), 400, "invalid_type", json!("seed")),
        ("n 9", replaced("n", json!(9)), 400, "integer_above_max_value", json!("n")),
        ("n decimal", replaced("n", json!(1.5)), 400, "invalid_type", json!("n")),
        ("n 0", replaced("n", json!(0)), 400, "integer_below_min_value", json!("n")),
        (
            "stream is a string",
            replaced("stream", json!("yes")),
            400,
            "invalid_type",
            json!("stream"),
        ),
        (
            "stream_options without stream",
            replaced("stream_options", json!({ "include_usage": true })),
            400,
            "invalid_value",
            json!("stream_options"),
        ),
        ("stop empty", replaced("stop", json!([""])), 400, "invalid_value", json!("stop")),
        (
            "stop of five",
            replaced("stop", json!(["a", "b", "c", "d", "e"])),
            400,
            "invalid_value",
            json!("stop"),
        ),
        ("stop of numbers", replaced("stop", json!([1])), 400, "invalid_type", json!("stop")),
        (
            "top_logprobs alone",
            replaced("top_logprobs", json!(2)),
            400,
            "invalid_value",
            json!("top_logprobs"),
        ),
        ("tools is an object", replaced("tools", json!({})), 400, "invalid_type", json!("tools")),
        (
            "logit_bias",
            replaced("logit_bias", json!({ "5": 100 })),
            400,
            "unsupported_parameter",
            json!("logit_bias"),
        ),
        (
            "audio",
            replaced("modalities", json!(["text", "audio"])),
            400,
            "unsupported_parameter",
            json!("modalities"),
        ),
        (
            "unknown field",
            replaced("max_token", json!(5)),
            400,
            "unknown_parameter",
            json!("max_token"),
        ),
        (
            "extension is a boolean",
            replaced("personaguard", json!(true)),
            400,
            "invalid_type",
            json!("personaguard"),
        ),
        (
            "top_logprobs 21",
            replaced("top_logprobs", json!(21)),
            400,
            "integer_above_max_value",
            json!("top_logprobs"),
        ),
        (
            "frequency_penalty -3",
            replaced("frequency_penalty", json!(-3)),
            400,
            "invalid_value",
            json!("frequency_penalty"),
        ),
        ("min_p 2", replaced("min_p", json!(2)), 400, "invalid_value", json!("min_p")),
        (
            "a stop string of 2 KiB",
            replaced("stop", json!("x".repeat(2048))),
            400,
            "invalid_value",
            json!("stop"),
        ),
        (
            "trailing text",
            [chat("Hi").to_string().as_bytes(), b" {}"].concat(),
            400,
            "invalid_json",
            none.clone(),
        ),
        (
            "NaN",
            br#"{"model": "x", "temperature": NaN}"#.to_vec(),
            400,
            "invalid_json",
            none.clone(),
        ),
        (
            "messages is an object",
            messages(json!({ "role": "user" })),
            400,
            "invalid_type",
            json!("messages"),
        ),
        (
            "an unknown field of a message",
            messages(json!([{ "role": "user", "content": "x", "secret": 1 }])),
            400,
            "unsupported_parameter",
            json!("messages[0].secret"),
        ),
        (
            "functions",
            replaced("functions", json!([{ "name": "f" }])),
            400,
            "unsupported_parameter",
            json!("functions"),
        ),
        (
            "prediction",
            replaced("prediction", json!({ "type": "content" })),
            400,
            "unsupported_parameter",
            json!("prediction"),
        ),
        (
            "traits of the extension are a list",
            replaced("personaguard", json!({ "traits": ["evil"] })),
            400,
            "invalid_type",
            json!("personaguard.traits"),
        ),
        (
            "a trait of the extension is a number",
            replaced("personaguard", json!({ "traits": { "evil": 1 } })),
            400,
            "invalid_type",
            json!("personaguard.traits"),
        ),
        (
            "a trait that no policy has",
            replaced("personaguard", json!({ "traits": { "evil": { "block": true } } })),
            400,
            "invalid_value",
            json!("personaguard.traits"),
        ),
        (
            "a coefficient past the limit",
            replaced("personaguard", json!({ "traits": { "evil": { "coefficient": 5 } } })),
            400,
            "invalid_value",
            json!("personaguard.traits.coefficient"),
        ),
        (
            "a threshold that is a string",
            replaced("personaguard", json!({ "traits": { "evil": { "max": "low" } } })),
            400,
            "invalid_type",
            json!("personaguard.traits.max"),
        ),
        (
            "an unknown field of a trait",
            replaced("personaguard", json!({ "traits": { "evil": { "allow": true } } })),
            400,
            "unknown_parameter",
            json!("personaguard.traits.allow"),
        ),
        (
            "too many traits",
            replaced(
                "personaguard",
                json!({ "traits": (0..17).map(|i| (i.to_string(), json!({}))).collect::<serde_json::Map<_, _>>() }),
            ),
            400,
            "invalid_value",
            json!("personaguard.traits"),
        ),
        (
            "unknown field of the extension",
            replaced("personaguard", json!({ "mode": "Audit" })),
            400,
            "unknown_parameter",
            json!("personaguard.mode"),
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn each_bad_request_has_its_error_and_leaves_the_sidecar_serving() {
    let rig = Rig::ready(vec![]).await;
    let table = [table(), messages::table(), tools::table()].concat();
    assert!(table.len() >= 60, "{}", table.len());
    let url = format!("{}/v1/chat/completions", rig.url);
    let rejected = table.len();
    for (name, body, status, code, param) in table {
        let response = rig
            .http
            .post(&url)
            .body(body)
            .send()
            .await
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(response.status().as_u16(), status, "{name}");
        let body: Value = response.json().await.unwrap();
        let error = body["error"].as_object().unwrap_or_else(|| panic!("{name}: {body}"));
        assert_eq!((body.as_object().unwrap().len(), error.len()), (1, 4), "{name}: {body}");
        assert_eq!((&error["code"], &error["param"]), (&json!(code), &param), "{name}: {body}");
        assert_eq!(error["type"], "invalid_request_error", "{name}");
        assert!(!error["message"].as_str().unwrap().is_empty(), "{name}");
        let sound = with(chat("Hi"), json!({ "max_tokens": 1 }));
        assert_eq!(rig.post(&sound).await.status(), 200, "after: {name}");
    }
    let counted = rig.metric("personaguard_responses_total{outcome=\"rejected\"}").await;
    assert_eq!(counted, Some(rejected as f64));
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_paths_and_methods_have_the_error_shape_too() {
    let rig = Rig::ready(vec![]).await;
    for (method, path, status) in [
        ("GET", "/", 404),
        ("POST", "/v1/embeddings", 404),
        ("GET", "/v1/chat/completions", 405),
        ("PUT", "/v1/models", 405),
        ("POST", "/metrics", 405),
        ("GET", "/v1/models/%ff", 400),
    ] {
        let request = rig.http.request(method.parse().unwrap(), format!("{}{path}", rig.url));
        let response = request.send().await.unwrap();
        assert_eq!(response.status().as_u16(), status, "{method} {path}");
        let body: Value = response.json().await.unwrap_or_else(|_| panic!("{method} {path}"));
        assert!(body["error"]["message"].is_string(), "{method} {path}: {body}");
    }
    assert_eq!(rig.complete(&chat("Hi")).await["model"], MODEL);
}

#[tokio::test(flavor = "multi_thread")]
async fn harmless_fields_and_text_parts_are_taken() {
    let rig = Rig::ready(vec![]).await;
    let plain = rig.complete(&chat("Hello there")).await;
    let parts = json!([{ "type": "text", "text": "Hello " }, { "type": "text", "text": "there" }]);
    let body = with(
        chat(""),
        json!({
            "messages": [{ "role": "user", "content": parts, "name": "ann" }],
            "n": 1, "user": "u", "store": false, "metadata": { "a": "b" }, "response_format": { "type": "text" },
            "tools": null, "tool_choice": "auto", "parallel_tool_calls": true, "logit_bias": {}, "modalities": ["text"], "service_tier": "auto", "logprobs": false,
        }),
    );
    assert_eq!(rig.complete(&body).await["choices"], plain["choices"]);
}
