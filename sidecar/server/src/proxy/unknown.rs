//! Paths by which a model may write in a format that is not read here.

use super::context::Context;
use super::unguarded;
use crate::http::{ApiError, discard};
use crate::runtime::AppState;
use crate::session::not_ready;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::response::Response;
use futures::StreamExt as _;
use personaguard_guard::{Decision, UnscoredReason};
use personaguard_terms::FailurePolicy;
use serde_json::Value;
use std::sync::Arc;

/// Bytes of a response that are looked at, to see whether a model wrote it.
const MAX_LOOK: usize = 1 << 20;

/// Refuses the request, or lets it pass and counts what a model seems to have written.
pub(super) async fn answer(context: &Context, request: Request) -> Result<Response, ApiError> {
    match context.app.active_model() {
        None if context.app.snapshot().failure_policy != Some(FailurePolicy::Open) => {
            return Err(not_ready(&context.app));
        }
        Some(active) if active.plan.policies.is_empty() => {
            return context.forwarder.send(request).await;
        }
        Some(active) if active.plan.refuses_unscorable() => {
            discard(request.into_body()).await;
            return Err(ApiError::request(
                StatusCode::FORBIDDEN,
                "guard_unknown_path",
                "A policy on this service refuses what cannot be scored, and answers of this path \
                 and method cannot be read. Use /v1/chat/completions, /v1/completions, \
                 /v1/responses or /v1/messages; or let it pass unguarded by \
                 spec.unscorableRequests of the PersonaPolicy.",
            ));
        }
        Some(active) if Decision::new(Arc::clone(&active.plan)).stop().is_some() => {
            return Err(ApiError::unscorable());
        }
        _ => {}
    }
    let response = context.forwarder.send(request).await?;
    Ok(watched(&context.app, response))
}

/// The same response. When it ends, it is counted if a model seems to have written it.
fn watched(app: &Arc<AppState>, response: Response) -> Response {
    let kind = response.headers().get(header::CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default().to_ascii_lowercase();
    let is_stream = ["event-stream", "ndjson", "jsonl", "json-seq", "octet-stream", "text/plain"];
    if !response.status().is_success() {
        return response;
    }
    if is_stream.iter().any(|part| kind.contains(part)) {
        unguarded::count(app, UnscoredReason::NotUnderstood);
        return response;
    }
    if !kind.contains("json") {
        return response;
    }
    let mut look = Look { app: Arc::clone(app), bytes: Vec::new() };
    response.map(|body| {
        Body::from_stream(body.into_data_stream().map(move |chunk| {
            if let Ok(bytes) = &chunk {
                look.take(bytes);
            }
            chunk
        }))
    })
}

/// Looks at what passes.
struct Look {
    app: Arc<AppState>,
    bytes: Vec<u8>,
}

impl Look {
    fn take(&mut self, bytes: &Bytes) {
        let room = MAX_LOOK - self.bytes.len().min(MAX_LOOK);
        self.bytes.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }
}

impl Drop for Look {
    fn drop(&mut self) {
        let is_written = match serde_json::from_slice::<Value>(&self.bytes) {
            Ok(value) => says_text(&value),
            // Longer than what is looked at, or no JSON.
            Err(_) => !self.bytes.is_empty(),
        };
        if is_written {
            unguarded::count(&self.app, UnscoredReason::NotUnderstood);
        }
    }
}

/// Whether there is a text in it that is longer than a name.
fn says_text(value: &Value) -> bool {
    match value {
        Value::String(text) => text.trim().contains(char::is_whitespace),
        Value::Array(values) => values.iter().any(says_text),
        Value::Object(fields) => fields.values().any(says_text),
        _ => false,
    }
}
