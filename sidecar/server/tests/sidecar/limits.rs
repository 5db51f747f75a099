//! Clients that are slow, gone or too many, and the end of the process.

use crate::rig::{Folder, Rig, Variant, chat, parse_sse, policy, streamed, with};
use futures::StreamExt as _;
use personaguard_server::http::Limits;
use personaguard_terms::Action;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

fn long() -> Value {
    with(
        chat("Tell me a very long story about the sea."),
        json!({ "max_tokens": 3000, "stop": null }),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_away_cancels_its_answer() {
    let rig = Rig::ready(vec![policy(Action::Alert, Some(1e6))]).await;
    let mut chunks = rig.post(&with(long(), json!({ "stream": true }))).await.bytes_stream();
    chunks.next().await.unwrap().unwrap();
    drop(chunks);
    let cancelled = async || {
        rig.metric("personaguard_responses_total{outcome=\"cancelled\"}").await == Some(1.0)
    };
    rig.until("cancelled", cancelled).await;
    let idle = async || rig.metric("personaguard_requests_running").await == Some(0.0);
    rig.until("the engine is idle", idle).await;
    // The same without a stream, where the connection is all there is to see.
    let request = rig
        .http
        .post(format!("{}/v1/chat/completions", rig.url))
        .json(&long())
        .timeout(Duration::from_millis(300));
    assert!(request.send().await.is_err());
    let cancelled = async || {
        rig.metric("personaguard_responses_total{outcome=\"cancelled\"}").await == Some(2.0)
    };
    rig.until("cancelled", cancelled).await;
    assert_eq!(rig.sidecar().app().report().totals.responses, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_are_told_when_to_come_back() {
    let mut folder = Folder::new(vec![]).await;
    folder.config.model.max_concurrent = 1;
    folder.write();
    let rig = Rig::start(folder, Variant::default()).await;
    rig.until_ready().await;
    let body = with(long(), json!({ "stream": true }));
    let responses = futures::future::join_all((0..20).map(|_| rig.post(&body))).await;
    let refused: Vec<_> = responses.iter().filter(|response| response.status() == 429).collect();
    assert!(refused.len() >= 8, "{} refused", refused.len());
    for response in &refused {
        let wait: u64 = response.headers()["retry-after"].to_str().unwrap().parse().unwrap();
        assert!((1..=60).contains(&wait));
    }
    drop(responses);
    let idle = async || rig.metric("personaguard_requests_running").await == Some(0.0);
    rig.until("the engine is idle", idle).await;
    assert_eq!(rig.post(&chat("Hi")).await.status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_clients_are_let_go() {
    let limits = Limits {
        body_time: Duration::from_millis(300),
        head_time: Duration::from_millis(300),
        ..Limits::default()
    };
    let rig = Rig::start(Folder::new(vec![]).await, Variant { limits, ..Variant::default() }).await;
    rig.until_ready().await;
    let address = rig.url.strip_prefix("http://").unwrap();

    let mut slow_body = TcpStream::connect(address).await.unwrap();
    slow_body
        .write_all(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
        .await
        .unwrap();
    let mut answer = String::new();
    slow_body.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(answer.contains("\"code\":\"request_timeout\""), "{answer}");

    let mut slow_head = TcpStream::connect(address).await.unwrap();
    slow_head.write_all(b"GET /healthz HT").await.unwrap();
    let mut answer = Vec::new();
    slow_head.read_to_end(&mut answer).await.unwrap();
    assert!(!answer.starts_with(b"HTTP/1.1 200"));
    assert_eq!(rig.get("/healthz").await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_in_progress_are_finished_before_the_end() {
    let mut rig = Rig::ready(vec![]).await;
    let body = with(chat("Tell me about the sea."), json!({ "stream": true, "max_tokens": 60 }));
    let whole = rig.complete(&with(body.clone(), json!({ "stream": false }))).await;
    let mut chunks = rig.post(&body).await.bytes_stream();
    let mut bytes = chunks.next().await.unwrap().unwrap().to_vec();
    let sidecar = rig.sidecar.take().unwrap();
    let stopping = tokio::spawn(sidecar.stop());
    while let Some(chunk) = chunks.next().await {
        bytes.extend_from_slice(&chunk.unwrap());
    }
    let (chunks, done) = parse_sse(&String::from_utf8(bytes).unwrap());
    assert!(done);
    assert_eq!(streamed(&chunks), crate::rig::text(&whole));
    stopping.await.unwrap();
    assert!(rig.http.get(format!("{}/healthz", rig.url)).send().await.is_err());
}
