use super::*;
use crate::fixtures::pod;
use axum::Router;
use axum::routing::get;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A pod whose sidecar's port answers this; the port, and how often it was asked.
async fn answering(body: &str) -> (u16, Arc<AtomicUsize>) {
    let (body, asked) = (body.to_owned(), Arc::<AtomicUsize>::default());
    let count = Arc::clone(&asked);
    let answer = async move || {
        count.fetch_add(1, Ordering::SeqCst);
        body
    };
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let router = Router::new().route(names::INSTANCE_PATH, get(answer));
    tokio::spawn(async { axum::serve(listener, router).await.unwrap() });
    (port, asked)
}

fn local_pod(name: &str) -> PodView {
    PodView { addresses: vec![Ipv4Addr::LOCALHOST.into()], ..pod(name, Some("smollm2")) }
}

fn answers(port: u16) -> PodAnswers {
    let _ = rustls::crypto::ring::default_provider().install_default();
    PodAnswers::new(port).unwrap()
}

#[tokio::test]
async fn issue_15_17_a_pod_tells_which_process_is_its_sidecar_and_is_asked_seldom() {
    let (port, asked) = answering(r#"{"instance":"genuine"}"#).await;
    let (answers, pod) = (answers(port), local_pod("chat-1"));
    for _ in 0..50 {
        assert!(!answers.is_sidecar(&pod, "forged").await);
    }
    // Others who ask take nothing from it.
    assert!(answers.is_sidecar(&pod, "genuine").await);
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn issue_15_17_a_pod_that_gives_no_answer_proves_nothing() {
    let long = format!(r#"{{"instance":"{}"}}"#, "a".repeat(1 << 20));
    for body in ["", "genuine", "{}", r#"{"instance":1}"#, &long] {
        let (port, _) = answering(body).await;
        assert!(!answers(port).is_sidecar(&local_pod("chat-1"), "genuine").await, "{body:.20}");
    }
    let (closed, _) = answering("").await;
    let without_address = PodView { addresses: Vec::new(), ..local_pod("chat-1") };
    assert!(!answers(closed).is_sidecar(&without_address, "").await);
}
