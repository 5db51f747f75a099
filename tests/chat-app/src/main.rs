//! A small chat service for the demo and the tests: an ordinary app that knows nothing of
//! Personaguard. It uses the model server at `OPENAI_BASE_URL`.

mod forward;

use anyhow::{Context, Result};
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::response::Html;
use axum::routing::{get, post};
use forward::Upstream;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

/// Longest request body, in bytes.
const BODY_LIMIT: usize = 1024 * 1024;

#[tokio::main]
async fn main() -> Result<()> {
    tracing_subscriber::fmt().with_env_filter(tracing_subscriber::EnvFilter::new("info")).init();
    // Fails only if one is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let address = std::env::var("LISTEN").unwrap_or_else(|_| "0.0.0.0:8080".into());
    let listener =
        TcpListener::bind(&address).await.with_context(|| format!("listening on {address}"))?;
    let upstream = Upstream::from_env()?;
    let model_server = upstream.base_url().unwrap_or("none");
    tracing::info!(%address, model_server, "chat service started");
    let mut terminate = signal(SignalKind::terminate())?;
    axum::serve(listener, router(upstream))
        .with_graceful_shutdown(async move {
            terminate.recv().await;
        })
        .await?;
    Ok(())
}

fn router(upstream: Upstream) -> Router {
    Router::new()
        .route("/", get(|| async { Html(include_str!("page.html")) }))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/v1/models", get(forward::models))
        .route("/v1/chat/completions", post(forward::chat))
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .with_state(Arc::new(upstream))
}

#[cfg(test)]
mod tests;
