//! Sockets: HTTP/1.1 with limits on what a client may keep busy, and an orderly end.

use axum::Router;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use std::time::Duration;
use tokio::net::TcpListener;
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
}

impl Default for Limits {
    fn default() -> Self {
        Self { body_bytes: 1 << 20, body_time: Duration::from_secs(30), head_time: Duration::from_secs(30) }
    }
}

/// Serves until `stop`; then takes no more, and returns when the requests that run have ended, or after `grace`.
pub async fn listen(listener: TcpListener, router: Router, limits: Limits, stop: CancellationToken, grace: Duration) {
    let graceful = GracefulShutdown::new();
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
        // Tokens are small, and wanted at once.
        let _ = stream.set_nodelay(true);
        let connection = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.head_time)
            .max_buf_size(64 * 1024)
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router.clone()));
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection ended early");
            }
        });
    }
    drop(listener);
    if tokio::time::timeout(grace, graceful.shutdown()).await.is_err() {
        tracing::warn!("requests still ran at the end of the grace period, and are cut");
    }
}
