//! Places in which a server could put an answer that nobody scores, and what of honest servers'
//! answers has to arrive all the same.

use crate::proxy::{ANSWER, Front, completion, question, streaming};
use crate::rig::{Folder, parse_sse, policy, with};
use crate::upstream::{Step, stream, whole};
use personaguard_server::proxy::Timeouts;
use personaguard_terms::{Action, FailurePolicy};
use personaguard_wire::ResolvedPolicy;
use reqwest::Method;
use serde_json::{Value, json};
use std::time::Duration;

/// A word that looks like a name.
const WORD: &str = "neighbour-7";

fn blocking() -> ResolvedPolicy {
    ResolvedPolicy { failure_policy: FailurePolicy::Closed, ..policy(Action::Block, Some(-1e6)) }
}

fn lenient() -> ResolvedPolicy {
    ResolvedPolicy { failure_policy: FailurePolicy::Closed, ..policy(Action::Block, Some(1e6)) }
}

fn choice(message: &Value) -> Value {
    json!({ "id": WORD, "model": WORD, "system_fingerprint": WORD, "object": WORD, "created": 1,
        "choices": [{ "index": 0, "message": message, "delta": message, "finish_reason": null }] })
}

/// Answers whose words stand in what looks like a name.
fn bodies() -> Vec<(&'static str, Value)> {
    let call = json!([{ "index": 0, "id": WORD, "type": "function",
        "function": { "name": "", "arguments": "" } }]);
    let item = |kind: &str| {
        json!({ "type": kind, "id": WORD, "call_id": WORD, "name": "", "arguments": "",
            "content": [], "status": WORD })
    };
    let output = json!([item("message"), item("function_call")]);
    vec![
        ("/v1/chat/completions", choice(&json!({ "role": WORD, "content": "" }))),
        ("/v1/chat/completions", choice(&json!({ "content": null, "tool_calls": call }))),
        ("/v1/responses", json!({ "id": WORD, "model": WORD, "output": output, "status": WORD })),
        (
            "/v1/messages",
            json!({ "id": WORD, "model": WORD, "type": "message", "role": WORD,
                "content": [{ "type": "tool_use", "id": WORD, "name": "", "input": {} }] }),
        ),
    ]
}

/// The same as the first event of a stream.
fn event(path: &str, body: &Value) -> Value {
    match path {
        "/v1/responses" => json!({ "type": "response.created", "item_id": WORD, "response": body }),
        "/v1/messages" => json!({ "type": "message_start", "message": body }),
        _ => body.clone(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a2_a_word_that_looks_like_a_name_does_not_leave() {
    let front = Front::ready(vec![blocking()]).await;
    for (path, body) in bodies() {
        let data = format!("data: {}\n\n", event(path, &body));
        for (streams, script) in [(false, whole(&body)), (true, stream(data.as_bytes(), 1 << 20))] {
            front.upstream.play(script);
            let request = with(question(), json!({ "stream": streams, "input": "a" }));
            let request = front.rig.http.post(format!("{}{path}", front.rig.url)).json(&request);
            let answer = request.send().await.unwrap();
            assert_eq!(answer.status(), 200, "{path}");
            let said = answer.text().await.unwrap();
            assert!(!said.contains("neighbour"), "{path}, streamed {streams}: {said}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a2_headers_carry_no_words() {
    let front = Front::ready(vec![blocking()]).await;
    let names = format!(
        "X-RateLimit-{WORD}: 1\r\nAccess-Control-Allow-Origin: https://{WORD}.example\r\n\
         X-Request-Id: {WORD}\r\nOpenAI-Version: {WORD}\r\nCache-Control: no-cache, {WORD}\r\n"
    );
    for (path, method) in [
        ("/v1/chat/completions", Method::POST),
        ("/v1/chat/completions", Method::OPTIONS),
        ("/v1/models", Method::GET),
        ("/health", Method::GET),
    ] {
        for status in ["200 OK", "307 Odd", "400 Bad"] {
            let head = format!(
                "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nLocation: /{WORD}\r\n\
                 {names}Connection: close\r\n\r\n"
            );
            let body = completion("").to_string();
            front.upstream.play(vec![Step::Send(head.into()), Step::Send(body.into())]);
            let request =
                front.rig.http.request(method.clone(), format!("{}{path}", front.rig.url));
            let answer = request.json(&question()).send().await.unwrap();
            let said = format!("{:?}", answer.headers());
            assert!(!said.contains("neighbour"), "{method} {path} {status}: {said}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a3_many_choices_are_all_scored() {
    let mut open = blocking();
    open.failure_policy = FailurePolicy::Open;
    let times = Timeouts { score: Duration::from_secs(120), ..Timeouts::default() };
    let front = Front::of(Folder::new(vec![open]).await, times).await;
    front.until_serving().await;
    let choice = |index| json!({ "index": index, "message": { "content": "Hi neighbour." } });
    let choices: Vec<_> = (0..40).map(choice).collect();
    front.upstream.play(whole(&json!({ "choices": choices })));
    let (status, bytes) = front.ask(&with(question(), json!({ "n": 40 }))).await;
    let said = String::from_utf8(bytes).unwrap();
    assert!(status == 200 && !said.contains("neighbour"), "{said}");
    assert_eq!(said.matches("content_filter").count(), 40);
    assert_eq!(front.rig.sidecar().app().report().totals.unguarded, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a1_an_answer_where_no_model_should_write_is_counted_where_it_passes() {
    let front = Front::ready(vec![policy(Action::Alert, None)]).await;
    let unguarded = || front.rig.sidecar().app().report().totals.unguarded;
    let ask = async |path: &str, script: Vec<Step>| {
        front.upstream.play(script);
        let request = front.rig.http.post(format!("{}{path}", front.rig.url)).json(&question());
        request.send().await.unwrap().text().await.unwrap()
    };
    let embeddings = json!({ "data": [{ "index": 0, "embedding": vec![0.25; 9000] }] });
    for data in [embeddings, json!({ "tokens": [1, 2] }), json!([{ "id": 1, "text": "a" }])] {
        assert_eq!(ask("/v1/embeddings", whole(&data)).await, data.to_string());
    }
    assert_eq!(unguarded(), 0);
    let answer = completion(ANSWER);
    assert_eq!(ask("/v1/embeddings", whole(&answer)).await, answer.to_string());
    front.rig.until("counted", async || unguarded() == 1).await;
    let data = format!("data: {answer}\n\n");
    assert_eq!(ask("/v1/rerank", stream(data.as_bytes(), 99)).await, data);
    front.rig.until("counted", async || unguarded() == 2).await;
}

/// Chunks as common servers write them.
fn served() -> Vec<(&'static str, Value)> {
    let chunk = |choice: Value, more: Value| {
        with(
            json!({ "id": "chatcmpl-8f4c0b6ddc0c4d4f8a1f0c7b5a3e2d10", "created": 1,
            "object": "chat.completion.chunk", "model": "test-model", "choices": [choice] }),
            more,
        )
    };
    let token = json!({ "token": "Good", "logprob": -0.5, "bytes": [71, 111, 111, 100],
        "top_logprobs": [] });
    let call = json!({ "index": 0, "id": "chatcmpl-tool-2a1b9c3d4e5f60718293a4b5c6d7e8f9",
        "type": "function", "function": { "name": "mail", "arguments": "{\"to\": \"Ann\"}" } });
    vec![
        (
            "vLLM",
            chunk(
                json!({ "index": 0, "delta": { "content": "Good", "reasoning_content": "Hm" },
                    "logprobs": { "content": [token] }, "finish_reason": null, "token_ids": null }),
                json!({ "prompt_token_ids": null }),
            ),
        ),
        (
            "vLLM, a call",
            chunk(
                json!({ "index": 0, "delta": { "tool_calls": [call] }, "logprobs": null,
                    "finish_reason": "tool_calls", "stop_reason": 151_645, "token_ids": null }),
                json!({}),
            ),
        ),
        (
            "llama.cpp",
            chunk(
                json!({ "index": 0, "delta": { "content": "Good" }, "finish_reason": null }),
                json!({ "system_fingerprint": "fp_44709d6fcb",
                    "timings": { "predicted_n": 3, "predicted_ms": 1.5 } }),
            ),
        ),
        (
            "SGLang",
            chunk(
                json!({ "index": 0, "delta": { "role": "assistant", "content": "Good",
                    "reasoning_content": null, "tool_calls": null }, "logprobs": null,
                    "finish_reason": null, "matched_stop": null }),
                json!({ "usage": null }),
            ),
        ),
        (
            "TGI",
            chunk(
                json!({ "index": 0, "delta": { "role": "assistant", "content": "Good" },
                    "logprobs": null, "finish_reason": null }),
                json!({ "id": "", "usage": null }),
            ),
        ),
        (
            "the usage of a stream",
            json!({ "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1,
                "model": "test-model", "choices": [],
                "usage": { "prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7,
                    "prompt_tokens_details": { "cached_tokens": 1 } } }),
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a2_what_common_servers_say_arrives_usable() {
    let front = Front::ready(vec![lenient()]).await;
    for (server, chunk) in served() {
        let bytes = format!("data: {chunk}\n\ndata: [DONE]\n\n");
        front.upstream.play(stream(bytes.as_bytes(), 1 << 20));
        let (_, left) = front.ask(&streaming(question())).await;
        let (chunks, is_done) = parse_sse(std::str::from_utf8(&left).unwrap());
        let mut expected = chunk.clone();
        expected.as_object_mut().unwrap().remove("prompt_token_ids");
        if let Some(choice) = expected["choices"].get_mut(0) {
            choice.as_object_mut().unwrap().remove("token_ids");
            if !choice["logprobs"]["content"].is_null() {
                choice["logprobs"]["refusal"] = Value::Null;
            }
        }
        assert_eq!((chunks, is_done), (vec![expected], true), "{server}");
    }
    // A server that says nothing of an error and half of a character does not lose the answer.
    let odd = completion(ANSWER)
        .to_string()
        .replace("\"created\":1", "\"created\":NaN,\"x\":\"\\ud83d\"");
    front.upstream.play(vec![crate::upstream::head("application/json"), Step::Send(odd.into())]);
    let (status, bytes) = front.ask(&question()).await;
    let body: Value = serde_json::from_slice(&bytes).unwrap();
    assert_eq!((status, &body["choices"][0]["message"]["content"]), (200, &json!(ANSWER)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a1_what_only_looks_up_a_text_says_where_to_ask() {
    let front = Front::ready(vec![blocking()]).await;
    for path in ["/detokenize", "/apply-template"] {
        let request = front.rig.http.post(format!("{}{path}", front.rig.url)).json(&json!({}));
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 403);
        let error = answer.json::<Value>().await.unwrap();
        assert_eq!(error["error"]["code"], "guard_unknown_path");
        let message = error["error"]["message"].as_str().unwrap();
        for word in ["detokenize", "own port", "unscorableRequests: Pass"] {
            assert!(message.contains(word), "{message}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a1_a_model_is_listed_by_the_name_that_clients_have_for_it() {
    let front = Front::ready(vec![lenient()]).await;
    let list = json!({ "object": "list", "data": [{ "id": "mistral", "object": "model" }] });
    let listed = async || {
        front.upstream.play(whole(&list));
        let models = front.rig.http.get(format!("{}/v1/models", front.rig.url)).send();
        models.await.unwrap().text().await.unwrap()
    };
    assert!(!listed().await.contains("mistral"));
    front.upstream.play(whole(&completion(ANSWER)));
    front.ask(&with(question(), json!({ "model": "mistral" }))).await;
    assert_eq!(listed().await, list.to_string());
}
