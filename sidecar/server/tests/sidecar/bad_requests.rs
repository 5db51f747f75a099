//! Bad requests: each has an exact status, the error shape of OpenAI's API, and leaves the sidecar
//! serving.

mod case;
mod extension;
mod messages;
mod parameters;
mod tools;
mod whole_body;

use crate::rig::{MODEL, Rig, chat, with};
use case::Case;
use serde_json::{Value, json};

fn table() -> Vec<Case> {
    [
        whole_body::cases(),
        messages::cases(),
        parameters::cases(),
        tools::cases(),
        extension::cases(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_bad_request_has_its_error_and_leaves_the_sidecar_serving() {
    let rig = Rig::ready(vec![]).await;
    let table = table();
    assert!(table.len() >= 60, "{}", table.len());
    let url = format!("{}/v1/chat/completions", rig.url);
    let rejected = table.len();
    for Case { name, body, status, code, param } in table {
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
        ("POST", "/v1/rerank", 404),
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
    let plain = rig.complete(&chat("Hello\nthere")).await;
    let parts = json!([{ "type": "text", "text": "Hello" }, { "type": "text", "text": "there" }]);
    let body = with(
        chat(""),
        json!({
            "messages": [{ "role": "user", "content": parts, "name": "ann" }],
            "n": 1, "user": "u", "store": false, "metadata": { "a": "b" },
            "response_format": { "type": "text" },
            "tools": null, "tool_choice": "auto", "parallel_tool_calls": true, "logit_bias": {},
            "modalities": ["text"], "service_tier": "auto", "logprobs": false,
        }),
    );
    assert_eq!(rig.complete(&body).await["choices"], plain["choices"]);
}
