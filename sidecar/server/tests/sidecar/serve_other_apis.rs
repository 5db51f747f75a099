//! `/v1/completions` and `/v1/responses` in placement Serve: other ways to ask for the same.

use crate::rig::{MODEL, Rig, chat, counts, policy, text, with};
use personaguard_model::ChatOptions;
use personaguard_terms::Action;
use serde_json::{Value, json};

async fn ask(rig: &Rig, path: &str, body: &Value) -> (u16, String) {
    let response = rig.http.post(format!("{}{path}", rig.url)).json(body).send().await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

/// The events of a stream.
fn events(stream: &str) -> Vec<Value> {
    let data = stream.lines().filter_map(|line| line.strip_prefix("data: "));
    data.filter_map(|data| serde_json::from_str(data).ok()).collect()
}

fn sampled() -> Value {
    let same = chat("Tell me about the sea.");
    json!({ "model": MODEL, "temperature": same["temperature"], "seed": same["seed"] })
}

fn as_response() -> Value {
    with(sampled(), json!({ "input": "Tell me about the sea.", "max_output_tokens": 24 }))
}

#[tokio::test(flavor = "multi_thread")]
async fn a4_responses_say_what_a_chat_says() {
    let rig = Rig::ready(vec![]).await;
    let expected = text(&rig.complete(&chat("Tell me about the sea.")).await).to_owned();
    let (status, body) = ask(&rig, "/v1/responses", &as_response()).await;
    let whole: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, &whole["object"]), (200, &json!("response")), "{body}");
    assert_eq!(whole["output"][0]["content"][0]["text"], expected);
    let (_, stream) =
        ask(&rig, "/v1/responses", &with(as_response(), json!({ "stream": true }))).await;
    let events = events(&stream);
    assert_eq!(events[0]["type"], "response.created");
    let said: String = events.iter().filter_map(|event| event["delta"].as_str()).collect();
    assert_eq!(said, expected);
    let last = events.last().unwrap();
    assert_eq!(last["response"]["output"][0]["content"][0]["text"], expected);
    let total = |body: &Value| body["usage"]["total_tokens"].clone();
    assert_eq!(total(&last["response"]), total(&whole));
    // The chat before had the same prompt.
    assert!(whole["usage"]["input_tokens_details"]["cached_tokens"].as_u64().unwrap() > 0);
    let numbers = events.iter().map(|event| event["sequence_number"].as_u64().unwrap());
    assert!(numbers.eq(0..events.len() as u64));
    assert!(stream.starts_with("event: response.created\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a4_completions_go_on_with_a_text() {
    let rig = Rig::ready(vec![]).await;
    let same = chat("Tell me about the sea.");
    let expected = text(&rig.complete(&same).await).to_owned();
    let active = rig.sidecar().app().active_model().unwrap();
    let messages = same["messages"].as_array().unwrap();
    let tokens = active.engine.model().chat_prompt(messages, &ChatOptions::default()).unwrap();
    let request = with(sampled(), json!({ "prompt": tokens, "max_tokens": 24 }));
    let (status, body) = ask(&rig, "/v1/completions", &request).await;
    let whole: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, &whole["choices"][0]["text"]), (200, &json!(expected)), "{body}");
    let streamed =
        with(request, json!({ "stream": true, "stream_options": { "include_usage": true } }));
    let (_, stream) = ask(&rig, "/v1/completions", &streamed).await;
    let events = events(&stream);
    let said: String =
        events.iter().filter_map(|event| event["choices"][0]["text"].as_str()).collect();
    assert_eq!(said, expected);
    assert_eq!(counts(events.last().unwrap()), counts(&whole));
    assert!(stream.ends_with("data: [DONE]\n\n"));
    let text = with(sampled(), json!({ "prompt": ["The sea is"], "n": 2 }));
    let (status, body) = ask(&rig, "/v1/completions", &text).await;
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, body["choices"].as_array().unwrap().len()), (200, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a4_both_are_guarded() {
    let rig = Rig::ready(vec![policy(Action::Block, Some(-1e6))]).await;
    for stream in [false, true] {
        let request = with(as_response(), json!({ "stream": stream }));
        let (_, body) = ask(&rig, "/v1/responses", &request).await;
        assert!(body.contains("content_filter") && !body.contains("output_text.delta"), "{body}");
        let request = with(sampled(), json!({ "prompt": "The sea is", "stream": stream }));
        let (_, body) = ask(&rig, "/v1/completions", &request).await;
        assert!(body.contains("content_filter"), "{body}");
    }
    assert_eq!(rig.sidecar().app().report().totals.blocked, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a4_a_conversation_goes_on_as_client_libraries_hand_it_back() {
    let rig = Rig::ready(vec![]).await;
    let parts = |kind: &str, field: &str| json!([{ "type": kind, field: "Said.", "x": [] }]);
    let input = json!([
        { "role": "user", "content": parts("input_text", "text") },
        { "type": "message", "role": "assistant", "id": "msg_1", "status": "completed",
            "content": parts("refusal", "refusal") },
        { "type": "reasoning", "id": "rs_1", "summary": [] },
        { "type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "f",
            "arguments": "{}", "status": "completed" },
        { "type": "function_call_output", "call_id": "call_1",
            "output": parts("input_text", "text") },
    ]);
    let (status, body) =
        ask(&rig, "/v1/responses", &with(as_response(), json!({ "input": input }))).await;
    assert_eq!(status, 200, "{body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_makes_no_sense_is_refused_by_its_own_name() {
    let rig = Rig::ready(vec![]).await;
    for (path, body, param) in [
        ("/v1/responses", json!({}), "input"),
        (
            "/v1/responses",
            json!({ "input": "a", "previous_response_id": "r" }),
            "previous_response_id",
        ),
        (
            "/v1/responses",
            json!({ "input": "a", "tools": [{ "type": "web_search" }] }),
            "tools[0].type",
        ),
        ("/v1/responses", json!({ "input": [{ "type": "odd" }] }), "input[0].type"),
        ("/v1/responses", json!({ "input": "a", "max_output_tokens": "x" }), "max_output_tokens"),
        ("/v1/responses", json!({ "input": [{ "role": "odd", "content": "a" }] }), "input"),
        ("/v1/completions", json!({}), "prompt"),
        ("/v1/completions", json!({ "prompt": "" }), "prompt"),
        ("/v1/completions", json!({ "prompt": "a", "echo": true }), "echo"),
        ("/v1/completions", json!({ "prompt": [99999999] }), "prompt"),
        ("/v1/completions", json!({ "prompt": "a", "messages": [] }), "messages"),
    ] {
        let (status, answer) =
            ask(&rig, path, &with(body.clone(), json!({ "model": MODEL }))).await;
        let answer: Value = serde_json::from_str(&answer).unwrap();
        assert_eq!((status, &answer["error"]["param"]), (400, &json!(param)), "{body}: {answer}");
    }
}
