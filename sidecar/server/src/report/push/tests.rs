use super::*;
use axum::routing::post;
use axum::{Json, Router};
use personaguard_wire::ModelObservation;
use personaguard_wire::{PodState, Totals};
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
