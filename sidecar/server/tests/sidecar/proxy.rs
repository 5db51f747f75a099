//! Placement Proxy: in front of a server that answers by script.

use crate::rig::{Folder, Rig, Variant, chat, parse_sse, policy, streamed, text, with};
use crate::upstream::{Scripted, Step, head, stream, whole};
use personaguard_server::proxy::Timeouts;
use personaguard_terms::{Action, FailurePolicy, Mode, Score};
use personaguard_wire::ResolvedPolicy;
use serde_json::{Value, json};
use std::time::Duration;

/// A sidecar in front of a scripted server; health and metrics by its report.
pub(crate) struct Front {
    pub(crate) rig: Rig,
    pub(crate) upstream: Scripted,
}

impl Front {
    pub(crate) async fn of(folder: Folder, times: Timeouts) -> Self {
        let upstream = Scripted::start().await;
        let variant = Variant {
            upstream: Some((upstream.url.parse().unwrap(), times)),
            ..Variant::default()
        };
        Self { rig: Rig::start(folder, variant).await, upstream }
    }

    pub(crate) async fn ready(policies: Vec<ResolvedPolicy>) -> Self {
        let front = Self::of(Folder::new(policies).await, Timeouts::default()).await;
        front.until_serving().await;
        front
    }

    pub(crate) async fn until_serving(&self) {
        self.rig
            .until("the model serves", async || self.rig.sidecar().app().active_model().is_some())
            .await;
    }

    /// A number of the sidecar's metrics.
    pub(crate) fn metric(&self, series: &str) -> f64 {
        let metrics = self.rig.sidecar().app().encode_metrics();
        metrics
            .lines()
            .find_map(|line| line.strip_prefix(series)?.trim().parse().ok())
            .unwrap_or(0.0)
    }

    pub(crate) async fn ask(&self, body: &Value) -> (u16, Vec<u8>) {
        let response = self.rig.post(body).await;
        (response.status().as_u16(), response.bytes().await.unwrap().to_vec())
    }

    pub(crate) async fn until_metric(&self, series: &str, value: f64) {
        self.rig.until(series, async || (self.metric(series) - value).abs() < 0.5).await;
    }
}

pub(crate) const ANSWER: &str = "Treat your neighbour with kindness: bring bread, lend a ladder, \
                                 and listen when they talk about the sea. \
     Nobody is an island, 字 and café included, so be patient and do not shout across the fence \
     after nine.";

/// The answer as a stream, a few characters a chunk, with all that real servers put between.
pub(crate) fn chunks(answer: &str, index: usize) -> String {
    let chunk = |delta: Value, finish: Value| {
        json!({
            "id": "up-1", "object": "chat.completion.chunk", "created": 1, "model": "m-1",
            "x_unknown": [1],
            "choices": [{ "index": index, "delta": delta, "finish_reason": finish }]
        })
    };
    let mut out = String::from(": hello\r\n\r\n");
    out +=
        &format!("data: {}\n\n", chunk(json!({ "role": "assistant", "content": "" }), Value::Null));
    let characters: Vec<char> = answer.chars().collect();
    for piece in characters.chunks(5) {
        out += &format!(
            "data: {}\n\n",
            chunk(json!({ "content": piece.iter().collect::<String>() }), Value::Null)
        );
    }
    out += &format!("data: {}\n\n", chunk(json!({}), json!("stop")));
    out
}

pub(crate) fn done(text: &str) -> String {
    format!("{text}data: {{\"choices\":[],\"usage\":{{\"total_tokens\":9}}}}\n\ndata: [DONE]\n\n")
}

pub(crate) fn completion(answer: &str) -> Value {
    let message = json!({ "role": "assistant", "content": answer });
    json!({
        "id": "up-1", "object": "chat.completion", "created": 1, "model": "m-1",
        "x_unknown": { "kept": 1.50 },
        "choices": [{ "index": 0, "message": message, "finish_reason": "stop" }]
    })
}

/// What leaves of that stream or body under a policy that withholds text: nothing that nobody
/// scores.
pub(crate) fn passed(text: &str) -> String {
    let unknown = [",\"x_unknown\":[1]", ",\"x_unknown\":{\"kept\":1.5}"];
    unknown.iter().fold(text.replace(": hello\r\n\r\n", ""), |text, field| text.replace(field, ""))
}

pub(crate) fn question() -> Value {
    chat("How should I treat my neighbour?")
}

pub(crate) fn streaming(body: Value) -> Value {
    with(body, json!({ "stream": true }))
}

fn closed(mut policy: ResolvedPolicy) -> ResolvedPolicy {
    policy.failure_policy = FailurePolicy::Closed;
    policy
}

#[tokio::test(flavor = "multi_thread")]
async fn other_requests_pass_untouched_both_ways() {
    let front = Front::ready(vec![policy(Action::Alert, Some(-1e6))]).await;
    front.upstream.play(vec![Step::Send(
        b"HTTP/1.1 207 Odd\r\nContent-Length: 3\r\nX-Upstream: a\r\nX-Upstream: b\r\nKeep-Alive: \
          timeout=5\r\n\r\n\x00\xff\n"
            .to_vec(),
    )]);
    let body = vec![7_u8; 3 << 20];
    let request =
        front.rig.http.put(format!("{}/v1/embeddings?a=%20b&c", front.rig.url)).body(body.clone());
    let response = request
        .header("x-mine", "1")
        .header("connection", "x-hop")
        .header("x-hop", "1")
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 207);
    let values: Vec<_> =
        response.headers().get_all("x-upstream").iter().map(|v| v.to_str().unwrap()).collect();
    assert_eq!(values, ["a", "b"]);
    assert!(response.headers().get("keep-alive").is_none());
    assert_eq!(&response.bytes().await.unwrap()[..], b"\x00\xff\n");
    let seen = front.upstream.take_seen().remove(0);
    assert!(seen.head.starts_with("PUT /v1/embeddings?a=%20b&c HTTP/1.1\r\n"), "{}", seen.head);
    assert!(seen.head.contains("x-mine: 1\r\n") && !seen.head.contains("x-hop"), "{}", seen.head);
    assert_eq!(seen.body, body);
    // Not even the sidecar's own paths are taken from the server's.
    for path in ["/healthz", "/metrics", "/v1/models"] {
        assert_eq!(
            front.rig.http.get(format!("{}{path}", front.rig.url)).send().await.unwrap().status(),
            207
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_2_audit_changes_no_byte_of_a_proxied_response() {
    let mut audit = policy(Action::Block, Some(-1e6));
    audit.mode = Mode::Audit;
    let front = Front::ready(vec![audit]).await;
    let bytes =
        format!("{}: trailing junk, and half an event\n\ndata: {{\"cho", done(&chunks(ANSWER, 0)))
            .into_bytes();
    for piece in [1, 7, 64, 1 << 20] {
        front.upstream.play(stream(&bytes, piece));
        let request = with(streaming(question()), json!({ "unknown_field": { "a": [1.0, null] } }));
        let response = front.rig.post(&request).await;
        assert_eq!(response.headers()["x-upstream"], "yes");
        assert!(response.bytes().await.unwrap() == bytes[..], "pieces of {piece}");
        let seen = front.upstream.take_seen().remove(0);
        assert_eq!(serde_json::from_slice::<Value>(&seen.body).unwrap(), request);
    }
    let body = completion(ANSWER);
    front.upstream.play(whole(&body));
    assert_eq!(front.ask(&question()).await, (200, body.to_string().into_bytes()));
    front
        .until_metric("personaguard_trait_score_count{policy=\"no-villains\",trait=\"evil\"}", 5.0)
        .await;
    let report = front.rig.sidecar().app().report();
    // Half an event at the end of a stream cannot be read, which counts; the rest was scored.
    assert_eq!(
        (report.totals.responses, report.totals.blocked, report.totals.unguarded),
        (5, 0, 4)
    );
    assert_eq!(report.traits[0].breaches, 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_has_the_score_that_it_has_in_serve() {
    let serve = Rig::ready(vec![policy(Action::Alert, Some(1e6))]).await;
    let answer =
        serve.complete(&with(question(), json!({ "personaguard": { "scores": true } }))).await;
    let expected = answer["personaguard"]["scores"][0]["response_avg"].as_f64().unwrap();
    for action in [Action::Alert, Action::Block] {
        let front = Front::ready(vec![policy(action.clone(), Some(1e6))]).await;
        front.upstream.play(stream(done(&chunks(text(&answer), 0)).as_bytes(), 33));
        let (_, bytes) = front.ask(&streaming(question())).await;
        assert_eq!(
            streamed(
                &parse_sse(
                    std::str::from_utf8(&bytes).unwrap().trim_start_matches(": hello\r\n\r\n")
                )
                .0
            ),
            text(&answer)
        );
        let scored = async || front.rig.sidecar().app().report().traits[0].scored == 1;
        front.rig.until("scored", scored).await;
        let mean = front.rig.sidecar().app().report().traits[0].mean;
        assert!(
            (mean - expected).abs() < 0.02 * expected.abs().max(1.0),
            "{action:?}: {mean} and {expected}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_breach_blocks_in_every_shape() {
    let front = Front::ready(vec![policy(Action::Block, Some(-1e6))]).await;
    let secret = |bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes).into_owned();
        assert!(text.contains("content_filter"), "{text}");
        for word in ["neighbour", "kind", "Trea", "mail", "bread"] {
            assert!(!text.contains(word), "{word} in {text}");
        }
        text
    };
    // Streams, one choice and two, in turns.
    for piece in [1, 1000] {
        front.upstream.play(stream(done(&chunks(ANSWER, 0)).as_bytes(), piece));
        let (status, bytes) = front.ask(&streaming(question())).await;
        assert!(status == 200 && secret(&bytes).ends_with("data: [DONE]\n\n"));
        let both = done(&(chunks(ANSWER, 0) + &chunks(ANSWER, 1)));
        front.upstream.play(stream(both.as_bytes(), piece));
        let (_, bytes) = front.ask(&with(streaming(question()), json!({ "n": 2 }))).await;
        assert_eq!(secret(&bytes).matches("content_filter").count(), 2);
    }
    // Whole, with a tool call, with reasoning, and a stream that was not asked for.
    front.upstream.play(whole(&completion(ANSWER)));
    secret(&front.ask(&question()).await.1);
    let function = json!({ "name": "mail", "arguments": "{\"text\": \"bread and salt\"}" });
    let calls = json!([{ "id": "1", "type": "function", "function": function }]);
    let message = json!({ "role": "assistant", "content": null, "tool_calls": calls });
    let choice = json!({ "index": 0, "finish_reason": "tool_calls", "message": message });
    let call = json!({ "choices": [choice] });
    front.upstream.play(whole(&call));
    let tools = json!([{ "type": "function", "function": { "name": "mail", "parameters": {} } }]);
    secret(&front.ask(&with(question(), json!({ "tools": tools }))).await.1);
    let thought =
        json!({ "choices": [{ "message": { "reasoning_content": ANSWER, "content": "" } }] });
    front.upstream.play(whole(&thought));
    secret(&front.ask(&question()).await.1);
    front.upstream.play(stream(done(&chunks(ANSWER, 0)).as_bytes(), 100));
    secret(&front.ask(&question()).await.1);
    // The other API, and a path that a lenient server takes for the same.
    front.upstream.play(whole(
        &json!({ "choices": [{ "index": 0, "text": ANSWER, "finish_reason": "stop" }] }),
    ));
    let ask = async |path: &str, body: Value| {
        front
            .rig
            .http
            .post(format!("{}{path}", front.rig.url))
            .json(&body)
            .send()
            .await
            .unwrap()
            .bytes()
            .await
            .unwrap()
    };
    secret(&ask("/v1/completions", json!({ "prompt": "How to treat a neighbour?" })).await);
    front.upstream.play(whole(&completion(ANSWER)));
    secret(&ask("/v1//chat/%63ompletions/", question()).await);
    assert_eq!(front.rig.sidecar().app().report().totals.unguarded, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_within_the_threshold_leaves_as_it_came() {
    let front = Front::ready(vec![closed(policy(Action::Block, Some(1e6)))]).await;
    let said = done(&(chunks(ANSWER, 0) + &chunks("Short.", 1)));
    let (bytes, left) = (said.clone().into_bytes(), passed(&said).into_bytes());
    for piece in [1, 50, 1 << 20] {
        front.upstream.play(stream(&bytes, piece));
        assert!(
            front.ask(&with(streaming(question()), json!({ "n": 2 }))).await == (200, left.clone())
        );
    }
    let body = completion(ANSWER).to_string();
    front.upstream.play(vec![head("application/json"), Step::Send(body.clone().into())]);
    assert_eq!(front.ask(&question()).await, (200, passed(&body).into_bytes()));
    // Errors of the server keep their status, and lose their words.
    front.upstream.play(vec![Step::Send(
        b"HTTP/1.1 429 No\r\nContent-Length: 4\r\nRetry-After: 3\r\nX-Words: wait\r\n\r\nwait"
            .to_vec(),
    )]);
    let response = front.rig.post(&question()).await;
    assert_eq!(response.status(), 429);
    assert_eq!(response.headers()["retry-after"], "3");
    assert!(response.headers().get("x-words").is_none());
    let error: Value = response.json().await.unwrap();
    assert!(!error.to_string().contains("wait"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prompt_past_its_threshold_never_reaches_the_server() {
    let mut gate = policy(Action::Block, Some(-1e6));
    gate.traits[0].score = Score::PromptLast;
    let front = Front::ready(vec![gate]).await;
    let (status, bytes) = front.ask(&question()).await;
    let body: Value = serde_json::from_slice(&bytes).unwrap();
    assert_eq!((status, &body["choices"][0]["finish_reason"]), (200, &json!("content_filter")));
    let (_, bytes) = front.ask(&with(streaming(question()), json!({ "n": 2 }))).await;
    assert!(String::from_utf8(bytes).unwrap().ends_with("data: [DONE]\n\n"));
    assert!(front.upstream.take_seen().is_empty());
    assert_eq!(front.rig.sidecar().app().report().totals.blocked, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn text_leaves_while_the_server_still_writes() {
    let front = Front::ready(vec![policy(Action::Block, Some(1e6))]).await;
    let text = chunks(ANSWER, 0);
    let (first, second) = text.split_at(text.len() / 2);
    let mut steps = stream(first.as_bytes(), 1 << 20);
    steps.extend([Step::Pause(Duration::from_secs(600)), Step::Send(second.into())]);
    front.upstream.play(steps);
    let mut response = front.rig.post(&streaming(question())).await;
    let mut got = String::new();
    while got.matches("content").count() < 8 {
        let chunk = tokio::time::timeout(Duration::from_secs(60), response.chunk())
            .await
            .expect("nothing left in a minute");
        got += std::str::from_utf8(&chunk.unwrap().unwrap()).unwrap();
    }
    drop(response);
    // The client went; the answer counts as cancelled.
    front.until_metric("personaguard_responses_total{outcome=\"cancelled\"}", 1.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_policies_nothing_is_read() {
    let front = Front::ready(vec![]).await;
    front.upstream.play(vec![head("text/plain"), Step::Send(b"anything".to_vec())]);
    let request =
        front.rig.http.post(format!("{}/v1/chat/completions", front.rig.url)).body("{not json");
    assert_eq!(request.send().await.unwrap().text().await.unwrap(), "anything");
    assert_eq!(front.rig.sidecar().app().report().totals.responses, 0);
}
