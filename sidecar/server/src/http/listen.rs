//! Sockets: HTTP/1.1 with limits on what a client may keep busy, and a graceful shutdown.

use super::connections::{ConnectionGuard, ConnectionLimiter};
use super::http2;
use super::limits::Limits;
use super::write_timeout::WriteTimeout;
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

/// Wait after a connection could not be accepted.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);
/// Longest head of a request in bytes.
const MAX_HEAD: usize = 64 * 1024;

/// Serves until `stop`. Then accepts no more connections, and returns when the running requests
/// have ended, or after `grace`.
pub async fn listen(
    listener: TcpListener,
    router: Router,
    limits: Limits,
    stop: CancellationToken,
    grace: Duration,
) {
    let graceful = GracefulShutdown::new();
    let limiter = ConnectionLimiter::new(limits.connections);
    loop {
        let stream = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    // Out of file descriptors, for example: others must end first.
                    tracing::warn!(%error, "a connection was not accepted");
                    tokio::time::sleep(ACCEPT_RETRY).await;
                    continue;
                }
            },
        };
        match limiter.admit() {
            Some(guard) => {
                tokio::spawn(serve(
                    stream,
                    router.clone(),
                    limits,
                    graceful.watcher(),
                    guard,
                    stop.clone(),
                ));
            }
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
        tracing::warn!("requests still running at the end of the grace period are cut off");
    }
}

async fn serve(
    stream: TcpStream,
    router: Router,
    limits: Limits,
    watcher: Watcher,
    guard: ConnectionGuard,
    stop: CancellationToken,
) {
    // Tokens are small, and wanted at once.
    let _ = stream.set_nodelay(true);
    let begun = tokio::select! {
        () = stop.cancelled() => return,
        () = guard.evicted() => return,
        begun = tokio::time::timeout(limits.head_time, http2::is_http2(&stream)) => begun,
    };
    match begun {
        Ok(Ok(false)) => {}
        Ok(Ok(true)) => {
            tracing::debug!("a client that began with HTTP/2 was told to use HTTP/1.1");
            let _ = tokio::time::timeout(limits.write_time, http2::refuse(stream)).await;
            return;
        }
        Ok(Err(_)) | Err(_) => return,
    }
    let guard = Arc::new(guard);
    let service = TowerToHyperService::new(router);
    let connection_guard = Arc::clone(&guard);
    let service = service_fn(move |request: Request<Incoming>| {
        let guard = Arc::clone(&connection_guard);
        let request = request.map(|body| Body::new(Arc::clone(&guard).track_request(body)));
        let response = service.call(request);
        async move {
            let response = response.await;
            response.map(|response| response.map(|body| guard.track_response(body)))
        }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_time)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(WriteTimeout::new(stream, limits.write_time)), service);
    let connection = watcher.watch(connection);
    tokio::select! {
        () = guard.evicted() => {
            tracing::debug!("a connection that waited for its client gave up its slot");
        }
        result = connection => if let Err(error) = result {
            tracing::debug!(%error, "a connection ended early");
        }
    }
}

#[cfg(test)]
mod tests;
