//! How much of the engine and of the memory one client's work takes from another's.

use crate::proxy::{ANSWER, Front, completion, question};
use crate::rig::{Folder, Rig, Variant, policy, with};
use crate::upstream::{Scripted, whole};
use personaguard_server::http::{BodyBudget, Limits};
use personaguard_server::proxy::Timeouts;
use personaguard_terms::Action;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

const UNGUARDED: &str = "personaguard_unguarded_responses_total";

/// The engine of the tests takes two passes, and sixteen wait.
#[tokio::test(flavor = "multi_thread")]
async fn a6_the_choices_of_one_request_do_not_fill_the_queue() {
    let front = Front::ready(vec![policy(Action::Block, Some(1e6))]).await;
    let mut body = completion(ANSWER);
    let choice = |index: usize| {
        let message = json!({ "role": "assistant", "content": format!("{ANSWER} {index}") });
        json!({ "index": index, "message": message, "finish_reason": "stop" })
    };
    body["choices"] = (0..40).map(choice).collect();
    front.upstream.play(whole(&body));
    let (status, bytes) = front.ask(&with(question(), json!({ "n": 40 }))).await;
    let answer: Value = serde_json::from_slice(&bytes).unwrap();
    assert_eq!((status, answer["choices"].as_array().unwrap().len()), (200, 40));
    for reason in ["queue_full", "deadline"] {
        assert_eq!(front.metric(&format!("{UNGUARDED}{{reason=\"{reason}\"}}")), 0.0);
    }
    assert_eq!(front.metric("personaguard_responses_total{outcome=\"stop\"}"), 40.0);
}

/// What takes longer to read than the deadline is read piece by piece, each within it.
#[tokio::test(flavor = "multi_thread")]
async fn a6_a_long_answer_in_one_piece_does_not_miss_its_deadline_for_its_length() {
    let front = async |score: Duration| {
        let times = Timeouts { score, ..Timeouts::default() };
        let policies = vec![policy(Action::Block, Some(1e6))];
        let front = Front::of(Folder::new(policies).await, times).await;
        front.until_serving().await;
        front.upstream.play(whole(&completion(&"kind words, ".repeat(300))));
        front
    };
    let patient = front(Duration::from_secs(60)).await;
    let begun = Instant::now();
    patient.ask(&question()).await;
    // A quarter of what it took.
    let hasty = front(begun.elapsed() / 4).await;
    let (status, bytes) = hasty.ask(&question()).await;
    assert_eq!(status, 200, "{}", String::from_utf8_lossy(&bytes));
    assert_eq!(hasty.metric(&format!("{UNGUARDED}{{reason=\"deadline\"}}")), 0.0);
    assert_eq!(hasty.metric("personaguard_responses_total{outcome=\"stop\"}"), 1.0);
}

/// Short bodies are read before they are sent on, so that they can be sent again.
#[tokio::test(flavor = "multi_thread")]
async fn number_22_half_sent_bodies_of_other_paths_keep_to_the_budget_too() {
    let limits = Limits { bodies: BodyBudget::new(3 << 20), ..Limits::default() };
    let upstream = Scripted::start().await;
    let variant = Variant {
        limits,
        upstream: Some((upstream.url.parse().unwrap(), Timeouts::default())),
        ..Variant::default()
    };
    let rig = Rig::start(Folder::new(vec![policy(Action::Block, Some(1e6))]).await, variant).await;
    rig.until("the model serves", async || rig.sidecar().app().active_model().is_some()).await;
    let address = rig.url.strip_prefix("http://").unwrap();
    let mut held = Vec::new();
    for _ in 0..12 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let head = "POST /v1/embeddings HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n";
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(&vec![b' '; 900_000]).await.unwrap();
        held.push(stream);
    }
    rig.until("bodies are held", async || limits.bodies.used() > 1_000_000).await;
    assert!(limits.bodies.used() <= limits.bodies.limit());
    upstream.play(whole(&json!({ "data": [] })));
    let url = format!("{}/v1/embeddings", rig.url);
    let answer = rig.http.post(url).json(&json!({ "input": "x" })).send().await.unwrap();
    assert_eq!(answer.status(), 200);
}
