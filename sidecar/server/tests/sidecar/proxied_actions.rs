//! Placement Proxy: what reaches the client under Redact, by sampling, and by what a request asks
//! for; and what is logged.

use crate::audit::{entries, files, logging_variant, replay};
use crate::proxy::{Front, chunks, completion, done, question, streaming};
use crate::rig::{Folder, finish_reason, parse_sse, policy, redact, streamed, text, with};
use crate::upstream::{Scripted, stream, whole};
use personaguard_guard::Sentences;
use personaguard_model::{ChatOptions, ScoreRequest};
use personaguard_server::audit::verify;
use personaguard_server::proxy::Timeouts;
use personaguard_terms::{Action, EvidenceWindow, FailurePolicy, RequestBounds, Sampling, Score};
use personaguard_wire::ResolvedPolicy;
use serde_json::{Value, json};
use std::sync::Arc;
use tempfile::TempDir;

const SAID: &str = "Be kind to them. Bring some fresh bread! Listen when they talk about the sea. \
                    Hurt them, hate them, \
     and make them suffer every single day. Then bring a cake.";

/// A policy that redacts an answer from one of its later sentences on, and what is left of the
/// answer.
async fn redacting_midway() -> (ResolvedPolicy, String) {
    let front = Front::ready(vec![policy(Action::Audit, None)]).await;
    let active = front.rig.sidecar().app().active_model().unwrap();
    let model = active.engine.model();
    let messages = question()["messages"].as_array().unwrap().clone();
    let response = model.tokenizer().encode(SAID);
    let request = ScoreRequest {
        prompt: model.chat_prompt(&messages, &ChatOptions::default()).unwrap(),
        response: response.clone(),
        taps: Arc::clone(&active.taps),
        ..Default::default()
    };
    let projections: Vec<f64> = active
        .engine
        .score(request)
        .await
        .unwrap()
        .response
        .iter()
        .map(|token| f64::from(token[0]))
        .collect();
    let mut sentences = Sentences::default();
    sentences.extend(SAID);
    let place = |tokens: usize| model.tokenizer().decode(&response[..tokens]).len();
    // The first token of a later sentence that is past everything before it.
    let highest = |at: usize| projections[..at].iter().copied().fold(f64::MIN, f64::max);
    let at = (1..projections.len())
        .find(|at| sentences.floor(place(*at)) > 0 && projections[*at] > highest(*at) + 0.1);
    let at = at.expect("no projection rises after the first sentence");
    let mut policy = policy(redact(), Some(f64::midpoint(highest(at), projections[at])));
    policy.evidence.window = Some(EvidenceWindow { past: 1, of_last: 1 });
    policy.failure_policy = FailurePolicy::Closed;
    (policy, SAID[..sentences.floor(place(at))].to_owned())
}

/// The text of one choice of a stream, and how it ended.
fn choice(chunks: &[Value], index: u64) -> (String, Vec<&str>) {
    let own = || {
        chunks
            .iter()
            .flat_map(|chunk| chunk["choices"].as_array().unwrap())
            .filter(|c| c["index"] == index)
    };
    let text = own().filter_map(|choice| choice["delta"]["content"].as_str()).collect();
    (text, own().filter_map(|choice| choice["finish_reason"].as_str()).collect())
}

fn events(bytes: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(bytes).unwrap().replace(": hello\r\n\r\n", "");
    let (chunks, done) = parse_sse(&text);
    assert!(done, "{text}");
    chunks
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_1_redact_takes_back_the_breaching_sentence_of_another_server() {
    let (policy, kept) = redacting_midway().await;
    let expected = format!("{kept}[removed]");
    let front = Front::ready(vec![policy]).await;
    front.upstream.play(whole(&completion(SAID)));
    let (status, bytes) = front.ask(&question()).await;
    let body: Value = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(
        (status, text(&body), &body["choices"][0]["finish_reason"]),
        (200, &*expected, &json!("content_filter"))
    );
    assert_eq!(
        body.get("x_unknown"),
        None,
        "beside a cut answer nothing that nobody scores leaves"
    );
    for piece in [1, 40, 1 << 20] {
        front.upstream.play(stream(done(&chunks(SAID, 0)).as_bytes(), piece));
        let chunks = events(&front.ask(&streaming(question())).await.1);
        assert_eq!(
            (streamed(&chunks), finish_reason(&chunks)),
            (expected.clone(), "content_filter"),
            "pieces of {piece}"
        );
    }
    // Of two choices, the one that stays within the threshold leaves as it came.
    let calm = &kept[..kept.len() - 1];
    front.upstream.play(stream(done(&(chunks(calm, 0) + &chunks(SAID, 1))).as_bytes(), 1000));
    let both = events(&front.ask(&with(streaming(question()), json!({ "n": 2 }))).await.1);
    assert_eq!(choice(&both, 0), (calm.to_owned(), vec!["stop"]));
    assert_eq!(choice(&both, 1), (expected.clone(), vec!["content_filter"]));
    let mut two = completion(calm);
    let other = completion(SAID)["choices"][0].clone();
    two["choices"].as_array_mut().unwrap().push(with(other, json!({ "index": 1 })));
    front.upstream.play(whole(&two));
    let body: Value =
        serde_json::from_slice(&front.ask(&with(question(), json!({ "n": 2 }))).await.1).unwrap();
    assert_eq!(body["choices"][0], two["choices"][0]);
    assert_eq!(body["choices"][1]["message"]["content"], expected);
    let series = "personaguard_trait_breaches_total{policy=\"no-villains\",trait=\"evil\",\
                  action=\"Redact\",mode=\"Enforce\"}";
    assert_eq!(front.metric(series), 6.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn redact_sends_nothing_of_a_tool_call_in_part() {
    let front = Front::ready(vec![policy(redact(), Some(-1e6))]).await;
    let function = json!({ "name": "mail", "arguments": "{\"text\": \"Good day. Hurt them.\"}" });
    let call = json!([{ "index": 0, "id": "1", "type": "function", "function": function }]);
    let said = |field: &str| {
        json!({
            "choices": [
                {
                    "index": 0, "finish_reason": "tool_calls",
                    field: { "role": "assistant", "content": null, "tool_calls": call }
                }
            ]
        })
    };
    front.upstream.play(whole(&said("message")));
    let tools = json!({
        "tools": [{ "type": "function", "function": { "name": "mail", "parameters": {} } }]
    });
    let body: Value =
        serde_json::from_slice(&front.ask(&with(question(), tools.clone())).await.1).unwrap();
    assert_eq!(
        (text(&body), &body["choices"][0]["message"]["tool_calls"]),
        ("[removed]", &Value::Null)
    );
    front.upstream.play(stream(done(&format!("data: {}\n\n", said("delta"))).as_bytes(), 9));
    let (_, bytes) = front.ask(&with(streaming(question()), tools)).await;
    assert!(!String::from_utf8_lossy(&bytes).contains("mail"));
    let chunks = events(&bytes);
    assert_eq!(
        (streamed(&chunks).as_str(), finish_reason(&chunks)),
        ("[removed]", "content_filter")
    );
    // The other API, and a prompt that is past its threshold by itself.
    front.upstream.play(whole(
        &json!({ "choices": [{ "index": 0, "text": SAID, "finish_reason": "stop" }] }),
    ));
    let url = format!("{}/v1/completions", front.rig.url);
    let body: Value = front
        .rig
        .http
        .post(url)
        .json(&json!({ "prompt": "My neighbour" }))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(body["choices"][0]["text"], "[removed]");
    let mut gate = policy(redact(), Some(-1e6));
    gate.traits[0].score = Score::PromptLast;
    let front = Front::ready(vec![gate]).await;
    let body: Value = serde_json::from_slice(&front.ask(&question()).await.1).unwrap();
    assert_eq!(text(&body), "[removed]");
    assert!(front.upstream.take_seen().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn sampling_scores_the_first_and_every_nth_proxied_answer() {
    let mut sampled = policy(Action::Alert, Some(-1e6));
    sampled.sampling = Some(Sampling { every: Some(3), fraction: None });
    let front = Front::ready(vec![sampled]).await;
    let body = completion(SAID);
    front.upstream.play(whole(&body));
    for _ in 0..7 {
        assert_eq!(front.ask(&question()).await, (200, body.to_string().into_bytes()));
    }
    front
        .until_metric("personaguard_trait_score_count{policy=\"no-villains\",trait=\"evil\"}", 3.0)
        .await;
    front.until_metric("personaguard_unsampled_responses_total{policy=\"no-villains\"}", 4.0).await;
    let report = front.rig.sidecar().app().report();
    assert_eq!(
        (report.totals.responses, report.totals.breaches, report.totals.unguarded),
        (7, 3, 0)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_asks_for_more_within_the_bounds_of_the_policy() {
    let mut lenient = policy(Action::Alert, Some(1e6));
    lenient.traits[0].requests =
        Some(RequestBounds { block: true, threshold: true, coefficient: None });
    let front = Front::ready(vec![lenient]).await;
    let asking = |demand: Value| {
        let fields = json!({
            "temperature": 0.5, "unknown": [1], "personaguard": { "traits": { "evil": demand } }
        });
        with(question(), fields)
    };
    front.upstream.play(stream(done(&chunks(SAID, 0)).as_bytes(), 100));
    let stricter = asking(json!({ "block": true, "max": -1e6 }));
    let chunks = events(&front.ask(&streaming(stricter)).await.1);
    assert_eq!((streamed(&chunks).as_str(), finish_reason(&chunks)), ("", "content_filter"));
    // The server is not told what is the guard's business.
    let seen: Value = serde_json::from_slice(&front.upstream.take_seen().remove(0).body).unwrap();
    assert_eq!(
        (&seen["personaguard"], &seen["unknown"], &seen["temperature"]),
        (&Value::Null, &json!([1]), &json!(0.5))
    );
    // Nothing of it stays for the next request.
    front.upstream.play(whole(&completion(SAID)));
    let plain: Value = serde_json::from_slice(&front.ask(&question()).await.1).unwrap();
    assert_eq!(text(&plain), SAID);
    front.upstream.take_seen();
    for (demand, status, code) in [
        (json!({ "max": 2e6 }), 403, "beyond_policy_bounds"),
        (json!({ "coefficient": -1 }), 403, "beyond_policy_bounds"),
        (json!({ "max": "low" }), 400, "invalid_type"),
    ] {
        let (got, bytes) = front.ask(&asking(demand)).await;
        let body: Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!((got, body["error"]["code"].as_str()), (status, Some(code)), "{body}");
    }
    let (status, _) =
        front.ask(&with(question(), json!({ "personaguard": { "scores": true } }))).await;
    assert_eq!(status, 400);
    assert!(front.upstream.take_seen().is_empty(), "what is refused never reaches the server");
    assert_eq!(front.metric("personaguard_request_controls_total{result=\"refused\"}"), 2.0);
    assert_eq!(front.metric("personaguard_request_controls_total{result=\"applied\"}"), 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn proxied_answers_are_in_the_audit_log_and_replay_to_the_last_bit() {
    let (mut policy, kept) = redacting_midway().await;
    policy.record_conversations = true;
    let dir = TempDir::new().unwrap();
    let upstream = Scripted::start().await;
    let variant = logging_variant(&dir, Some((upstream.url.parse().unwrap(), Timeouts::default())));
    let mut front = Front {
        rig: crate::rig::Rig::start(Folder::new(vec![policy]).await, variant).await,
        upstream,
    };
    front.until_serving().await;
    front.upstream.play(whole(&completion(SAID)));
    front.ask(&question()).await;
    let tools = json!([{ "type": "function", "function": { "name": "mail", "parameters": {} } }]);
    front.upstream.play(stream(done(&chunks(kept.trim_end(), 0)).as_bytes(), 50));
    front.ask(&with(streaming(question()), json!({ "tools": tools }))).await;
    front.rig.sidecar.take().unwrap().stop().await;
    let (audit, conversations) = files(&dir);
    let responses = entries(&audit, "response");
    assert_eq!(
        (responses.len(), &responses[0]["decision"], &responses[1]["decision"]),
        (2, &json!("redacted"), &Value::Null)
    );
    assert!(!std::fs::read_to_string(&audit).unwrap().contains("bread"));
    assert_eq!(entries(&conversations, "conversation").len(), 2);
    assert!(verify(&audit, None, drop).is_ok());
    let (printed, result) = replay(&front.rig, &conversations, &audit).await;
    assert!(printed.contains("2 scores, each as recorded to the last bit"), "{printed}{result:?}");
}
