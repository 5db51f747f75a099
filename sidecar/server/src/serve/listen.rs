//! Sockets: HTTP/1.1 with limits on what a client may keep busy, and an orderly end.

use super::crowd::{Crowd, Member};
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

/// Limits on requests.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Longest request body in bytes.
    pub body_bytes: usize,
    /// Longest wait for a whole body.
    pub body_time: Duration,
    /// Longest wait for the head of a request, on a new connection or between requests.
    pub head_time: Duration,
    /// Connections at the same time. One more takes the place of one that waits for its client;
    /// where all are answered, it is closed.
    pub connections: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes: 1 << 20,
            body_time: Duration::from_secs(30),
            head_time: Duration::from_secs(30),
            connections: 2048,
        }
    }
}

/// Serves until `stop`; then takes no more, and returns when the requests that run have ended, or
/// after `grace`.
pub async fn listen(
    listener: TcpListener,
    router: Router,
    limits: Limits,
    stop: CancellationToken,
    grace: Duration,
) {
    let graceful = GracefulShutdown::new();
    let crowd = Crowd::new(limits.connections);
    loop {
        let stream = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    // Out of file descriptors, say: others must end first.
                    tracing::warn!(%error, "a connection was not accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            },
        };
        match crowd.admit() {
            Some(member) => serve(stream, &router, limits, &graceful, member),
            None => {
                tracing::warn!(
                    limit = limits.connections,
                    "a connection was closed: all others are being answered"
                );
            }
        }
    }
    drop(listener);
    if tokio::time::timeout(grace, graceful.shutdown()).await.is_err() {
        tracing::warn!("requests still ran at the end of the grace period, and are cut");
    }
}

fn serve(
    stream: TcpStream,
    router: &Router,
    limits: Limits,
    graceful: &GracefulShutdown,
    member: Member,
) {
    // Tokens are small, and wanted at once.
    let _ = stream.set_nodelay(true);
    let member = Arc::new(member);
    let service = TowerToHyperService::new(router.clone());
    let answering = Arc::clone(&member);
    let service = service_fn(move |request: Request<Incoming>| {
        let (member, done) = (Arc::clone(&answering), Arc::clone(&answering));
        let answer = service.call(request.map(|body| Body::new(member.clone().reading(body))));
        async move {
            let answer = answer.await;
            answer.map(|answer| answer.map(|body| done.answering(body)))
        }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_time)
        .max_buf_size(64 * 1024)
        .serve_connection(TokioIo::new(stream), service);
    let connection = graceful.watch(connection);
    tokio::spawn(async move {
        tokio::select! {
            () = member.evicted() => tracing::debug!("a connection that waited for its client gave up its place"),
            result = connection => if let Err(error) = result {
                tracing::debug!(%error, "a connection ended early");
            }
        }
    });
}
