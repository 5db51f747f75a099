//! Invariants of the sidecar as a whole, in both placements, for random streams, cuts,
//! cancellations and neighbours.

use crate::audit::{entries, files, logging_variant};
use crate::enforcement::{breaching_midway, long, scored, tokens};
use crate::proxy::{ANSWER, Front, chunks, completion, done, question, streaming};
use crate::rig::{Folder, LOGS, Rig, TRACES, chat, policy, redact, with};
use crate::upstream::{Scripted, Step, head, stream, whole};
use futures::future::join_all;
use personaguard_server::proxy::Timeouts;
use personaguard_terms::{Action, FailurePolicy, Mode};
use personaguard_wire::ResolvedPolicy;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A stream of events, scraps of events and bytes.
fn scraps(random: &mut StdRng) -> Vec<u8> {
    let one = chunks("Be kind.", 0);
    let words = [
        "data: ",
        "\n\n",
        "\r\n\r\n",
        ": ping\n\n",
        "data: [DONE]\n\n",
        "data: {\"choices\":[]}\n\n",
        "é",
        "{",
        &one,
    ];
    let mut bytes = Vec::new();
    for _ in 0..random.random_range(1..12) {
        match random.random_range(0..8) {
            0 => bytes.extend((0..random.random_range(0..50)).map(|_| random.random::<u8>())),
            _ => bytes.extend_from_slice(words[random.random_range(0..words.len())].as_bytes()),
        }
    }
    bytes
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_2_audit_passes_whatever_a_server_sends_as_it_is() {
    let actions = [Action::Block, redact(), Action::Alert];
    let mut policies: Vec<_> = actions.map(|action| policy(action, Some(-1e6))).into();
    for (index, policy) in policies.iter_mut().enumerate() {
        (policy.name, policy.mode, policy.failure_policy) =
            (format!("audit-{index}"), Mode::Audit, FailurePolicy::Closed);
    }
    let front = Front::ready(policies).await;
    let mut random = StdRng::seed_from_u64(2);
    for round in 0..40 {
        let bytes = scraps(&mut random);
        let kind =
            ["text/event-stream", "application/json", "text/plain"][random.random_range(0..3)];
        let piece = random.random_range(1..60);
        let pieces = bytes.chunks(piece).map(|piece| Step::Send(piece.to_vec()));
        front.upstream.play(std::iter::once(head(kind)).chain(pieces).collect());
        let body = with(
            question(),
            json!({ "stream": random.random::<bool>(), "n": random.random_range(1..4) }),
        );
        assert_eq!(
            front.ask(&body).await,
            (200, bytes),
            "round {round}, {kind}, pieces of {piece}"
        );
    }
}

/// Words that occur nowhere else in this process.
const CANARIES: [&str; 4] =
    ["zebracanaryprompt", "zebracanaryanswer", "zebracanarytool", "zebracanarybad"];

#[tokio::test(flavor = "multi_thread")]
async fn invariant_5_no_text_of_another_server_leaves_the_pod() {
    let [prompt, answer, tool, bad] = CANARIES;
    let dir = TempDir::new().unwrap();
    let upstream = Scripted::start().await;
    let variant = logging_variant(&dir, Some((upstream.url.parse().unwrap(), Timeouts::default())));
    let folder = Folder::new(vec![policy(Action::Block, Some(-1e6)), redacting()]).await;
    let mut front = Front { rig: Rig::start(folder, variant).await, upstream };
    front.until_serving().await;
    let body = with(
        question(),
        json!({ "messages": [{ "role": "user", "content": prompt }], "user": prompt }),
    );
    front.upstream.play(stream(done(&chunks(answer, 0)).as_bytes(), 7));
    front.ask(&streaming(body.clone())).await;
    let call =
        json!([{ "id": "1", "type": "function", "function": { "name": tool, "arguments": tool } }]);
    front
        .upstream
        .play(whole(&json!({ "choices": [{ "index": 0, "message": { "tool_calls": call } }] })));
    front.ask(&body).await;
    front.upstream.play(whole(&json!({ bad: bad })));
    front.ask(&body).await;
    front.upstream.play(vec![Step::Send(
        format!("HTTP/1.1 500 {bad}\r\nContent-Length: 14\r\n\r\n{bad}").into(),
    )]);
    front
        .ask(&with(body.clone(), json!({ "messages": [{ "role": bad, "content": { bad: 1 } }] })))
        .await;
    front.ask(&with(body, json!({ "personaguard": { "traits": { bad: { bad: bad } } } }))).await;
    let traced = || TRACES.lock().unwrap().windows(7).any(|bytes| bytes == b"redacts");
    front.rig.until("traced", async || traced()).await;
    let report = serde_json::to_string(&front.rig.sidecar().app().report()).unwrap();
    let metrics = front.rig.sidecar().app().encode_metrics();
    front.rig.sidecar.take().unwrap().stop().await;
    let audit = std::fs::read_to_string(files(&dir).0).unwrap();
    assert!(report.contains("lastBreach") && audit.lines().count() >= 3, "{audit}");
    assert!(entries(&files(&dir).1, "conversation").is_empty(), "no policy records conversations");
    let traces = String::from_utf8_lossy(&TRACES.lock().unwrap()).into_owned();
    let logs = String::from_utf8_lossy(&LOGS.lock().unwrap()).into_owned();
    let places = [
        ("logs", logs),
        ("traces", traces),
        ("report", report),
        ("metrics", metrics),
        ("audit log", audit),
    ];
    for (place, text) in places {
        for canary in CANARIES {
            assert!(!text.contains(canary), "{canary} in {place}");
        }
    }
}

fn redacting() -> ResolvedPolicy {
    ResolvedPolicy { name: "redacts".to_owned(), ..policy(redact(), Some(-1e6)) }
}

/// What a client reads of a stream before it goes away.
async fn read_until(rig: &Rig, body: &Value, bytes: usize) -> String {
    let mut response = rig.post(&with(body.clone(), json!({ "stream": true }))).await;
    let mut got = Vec::new();
    while got.len() < bytes
        && let Ok(Some(chunk)) = response.chunk().await
    {
        got.extend_from_slice(&chunk);
    }
    String::from_utf8_lossy(&got).into_owned()
}

/// The content of a stream's chunks, as far as they are whole.
fn content(text: &str) -> String {
    let chunks = text
        .split("\n\n")
        .filter_map(|event| serde_json::from_str::<Value>(event.strip_prefix("data: ")?).ok());
    chunks
        .filter_map(|chunk| Some(chunk["choices"][0]["delta"]["content"].as_str()?.to_owned()))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_1_a_cancelled_stream_has_brought_nothing_past_the_threshold() {
    let (plain, policy, allowed) = breaching_midway().await;
    let text = tokens(&plain)[..allowed].concat();
    let rig = Rig::ready(vec![policy]).await;
    let mut random = StdRng::seed_from_u64(1);
    let limits: Vec<usize> = (0..12).map(|_| random.random_range(1..9000)).collect();
    let body = long();
    let read = join_all(limits.iter().map(|bytes| read_until(&rig, &body, *bytes))).await;
    for (got, bytes) in read.iter().zip(&limits) {
        assert!(
            text.starts_with(&content(got)),
            "after {bytes} bytes: {:?} of {text:?}",
            content(got)
        );
    }
    // Each is counted once, however it ended.
    let all = async || rig.sidecar().app().report().totals.responses == limits.len() as u64;
    rig.until("counted", all).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_8_a_score_does_not_depend_on_neighbours_that_come_and_go() {
    let rig = Rig::ready(vec![policy(Action::Alert, Some(1e6))]).await;
    let questions =
        ["How should I treat my neighbour?", "Tell me a story about a fox.", "What is rain?"];
    let body = |question: &str| {
        with(scored(long()), json!({ "messages": chat(question)["messages"], "max_tokens": 24 }))
    };
    let score = |answer: &Value| answer["personaguard"]["scores"].clone();
    let mut alone = Vec::new();
    for question in questions {
        alone.push(score(&rig.complete(&body(question)).await));
    }
    let mut random = StdRng::seed_from_u64(8);
    for _ in 0..4 {
        let neighbours: Vec<usize> = (0..4).map(|_| random.random_range(1..4000)).collect();
        let cancelled = join_all(
            neighbours.iter().map(|bytes| async { read_until(&rig, &long(), *bytes).await.len() }),
        );
        let bodies: Vec<_> = questions.iter().map(|question| body(question)).collect();
        let (_, together) =
            tokio::join!(cancelled, join_all(bodies.iter().map(|body| rig.complete(body))));
        assert_eq!(together.iter().map(score).collect::<Vec<_>>(), alone, "to the last bit");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_8_a_proxied_score_does_not_depend_on_how_the_answer_was_cut() {
    let dir = TempDir::new().unwrap();
    let upstream = Scripted::start().await;
    let variant = logging_variant(&dir, Some((upstream.url.parse().unwrap(), Timeouts::default())));
    let folder = Folder::new(vec![policy(Action::Block, Some(1e6))]).await;
    let mut front = Front { rig: Rig::start(folder, variant).await, upstream };
    front.until_serving().await;
    front.upstream.play(whole(&completion(ANSWER)));
    let asked = question();
    join_all((0..3).map(|_| front.ask(&asked))).await;
    for piece in [1, 17, 333, 1 << 20] {
        front.upstream.play(stream(done(&chunks(ANSWER, 0)).as_bytes(), piece));
        let requests: Vec<_> = (0..3).map(|_| streaming(question())).collect();
        join_all(requests.iter().map(|request| front.ask(request))).await;
    }
    front.rig.sidecar.take().unwrap().stop().await;
    let scores: Vec<_> =
        entries(&files(&dir).0, "response").iter().map(|entry| entry["scores"].clone()).collect();
    assert_eq!(scores.len(), 15);
    for score in &scores {
        assert_eq!(*score, scores[0]);
    }
}
