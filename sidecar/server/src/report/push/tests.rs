use super::*;
use axum::body::Bytes;
use axum::http::HeaderMap;
use axum::routing::post;
use axum::{Json, Router};
use personaguard_wire::ModelObservation;
use personaguard_wire::{KEY_HEADER, PodState, SIGNATURE_HEADER, Totals, instance_of, signed_text};
use ring::signature::{ED25519, UnparsedPublicKey};
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

fn report(responses: u64) -> SidecarReport {
    SidecarReport {
        instance: "i".to_owned(),
        sequence: 0,
        model: ModelObservation {
            name: "m".to_owned(),
            state: PodState::Loading,
            digest: None,
            failure: None,
        },
        policies: Vec::new(),
        config_error: None,
        totals: Totals { responses, ..Totals::default() },
        connections: personaguard_wire::Connections::default(),
        traits: Vec::new(),
        audit_log: None,
    }
}

/// An operator that accepts everything: its URL, and what it gets.
async fn operator() -> (String, UnboundedReceiver<SidecarReport>) {
    let (sender, reports) = unbounded_channel();
    let take = async move |Json(report): Json<SidecarReport>| {
        sender.send(report).unwrap();
        StatusCode::NO_CONTENT
    };
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let router = Router::new().route("/", post(take));
    tokio::spawn(async { axum::serve(listener, router).await.unwrap() });
    (url, reports)
}

#[tokio::test]
async fn the_report_as_of_now_is_pushed_on_a_notification_and_at_the_end() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (url, mut reports) = operator().await;
    let (ledger, responses) = (Arc::<Ledger>::default(), Arc::<AtomicU64>::default());
    let source = {
        let responses = Arc::clone(&responses);
        move || report(responses.load(Ordering::Relaxed))
    };
    let target = ReportTarget { url, token_file: None, ca_file: "no-such-file".into() };
    let pusher =
        ReportPusher::new(source, Arc::clone(&ledger), Arc::default(), target, Arc::default());
    let stop = CancellationToken::new();
    let running = tokio::spawn(pusher.run(stop.clone()));
    let mut next = async || reports.recv().await.unwrap();
    assert_eq!(next().await, SidecarReport { sequence: 1, ..report(0) });
    responses.store(7, Ordering::Relaxed);
    ledger.notify();
    assert_eq!(next().await, SidecarReport { sequence: 2, ..report(7) });
    stop.cancel();
    assert_eq!(next().await, SidecarReport { sequence: 3, ..report(7) });
    running.await.unwrap();
}

#[tokio::test]
async fn issue_15_17_reports_are_signed_by_the_process_that_makes_them() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (sender, mut pushes) = unbounded_channel::<(HeaderMap, Bytes)>();
    let take = async move |headers: HeaderMap, body: Bytes| {
        sender.send((headers, body)).unwrap();
        StatusCode::NO_CONTENT
    };
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let router = Router::new().route("/", post(take));
    tokio::spawn(async { axum::serve(listener, router).await.unwrap() });
    let (ledger, key) = (Arc::<Ledger>::default(), Arc::<ProcessKey>::default());
    let target = ReportTarget { url, token_file: None, ca_file: "no-such-file".into() };
    let pusher = ReportPusher::new(|| report(0), ledger, Arc::default(), target, Arc::clone(&key));
    let stop = CancellationToken::new();
    tokio::spawn(pusher.run(stop.clone()));
    let (headers, body) = pushes.recv().await.unwrap();
    let bytes = |header: &str| hex::decode(headers[header].as_bytes()).unwrap();
    let (public, signature) = (bytes(KEY_HEADER), bytes(SIGNATURE_HEADER));
    assert_eq!(instance_of(&public), key.instance());
    let public = UnparsedPublicKey::new(&ED25519, public);
    public.verify(&signed_text(&body), &signature).unwrap();
    public.verify(&body, &signature).unwrap_err();
    assert_ne!(ProcessKey::new().instance(), key.instance());
    stop.cancel();
}
