//! Paths by which a model may write in a format that is not read here.

use super::context::Context;
use super::passive::is_written;
use super::unguarded;
use crate::http::{ApiError, discard};
use crate::runtime::{AppState, Served};
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

/// Refuses the request, or lets it pass and counts what a model seems to have written.
pub(super) async fn answer(context: &Context, request: Request) -> Result<Response, ApiError> {
    let served = context.app.served();
    match served.as_ref().map(|served| &served.in_force().plan) {
        None if context.app.snapshot().failure_policy != Some(FailurePolicy::Open) => {
            return Err(not_ready(&context.app));
        }
        Some(plan) if plan.policies.is_empty() => {
            return context.forwarder.send(request).await;
        }
        Some(plan) if plan.refuses_unscorable() => {
            discard(request.into_body()).await;
            return Err(ApiError::request(
                StatusCode::FORBIDDEN,
                "guard_unknown_path",
                "A policy on this service refuses what cannot be scored, and answers of this path \
                 and method cannot be read, or are text that has no score (detokenize, \
                 apply-template). Have the model write by POST to /v1/chat/completions, \
                 /v1/completions, /v1/responses or /v1/messages; ask for the rest at the model \
                 server's own port, inside of the pod; or let all of it pass unguarded with \
                 `unscorableRequests: Pass` in the PersonaPolicy.",
            ));
        }
        Some(plan) if Decision::new(Arc::clone(plan)).stop().is_some() => {
            return Err(ApiError::unscorable());
        }
        _ => {}
    }
    let response = context.forwarder.send(request).await?;
    Ok(watched(&context.app, response, UNKNOWN))
}

/// A request of a path that makes no model write, where no policy withholds text. Should a model
/// have written the answer all the same, it is counted.
pub(super) async fn pass(context: &Context, request: Request) -> Result<Response, ApiError> {
    let response = context.forwarder.send(request).await?;
    let is_guarded = |served: Served| !served.in_force().plan.policies.is_empty();
    Ok(match context.app.served().is_some_and(is_guarded) {
        true => watched(&context.app, response, PASSIVE),
        false => response,
    })
}

/// How to tell that a model wrote a response.
#[derive(Clone, Copy)]
struct Signs {
    /// Parts of content types that it has.
    kinds: &'static [&'static str],
    /// Bytes of JSON that are looked at.
    look: usize,
    /// Whether JSON, or its beginning, is written.
    is_written: fn(&[u8]) -> bool,
}

const UNKNOWN: Signs = Signs {
    kinds: &["event-stream", "ndjson", "jsonl", "json-seq", "octet-stream", "text/plain"],
    look: 1 << 20,
    is_written: |bytes| match serde_json::from_slice(bytes) {
        Ok(value) => says_text(&value),
        // Longer than what is looked at, or no JSON.
        Err(_) => !bytes.is_empty(),
    },
};

const PASSIVE: Signs = Signs {
    kinds: &["event-stream", "ndjson", "jsonl", "json-seq"],
    look: 16 << 10,
    is_written: |bytes| match serde_json::from_slice(bytes) {
        Ok(value) => is_written(&value),
        Err(_) => {
            let text = String::from_utf8_lossy(bytes);
            let names = ["\"choices\"", "\"candidates\"", "\"generated_text\"", "\"output_text\""];
            names.iter().any(|name| text.contains(name))
        }
    },
};

/// The same response. When it ends, it is counted if a model seems to have written it.
fn watched(app: &Arc<AppState>, response: Response, signs: Signs) -> Response {
    let kind = response.headers().get(header::CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default().to_ascii_lowercase();
    if !response.status().is_success() {
        return response;
    }
    if signs.kinds.iter().any(|part| kind.contains(part)) {
        unguarded::count(app, UnscoredReason::NotUnderstood);
        return response;
    }
    if !kind.contains("json") {
        return response;
    }
    let mut look = Look { app: Arc::clone(app), bytes: Vec::new(), signs };
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
    signs: Signs,
}

impl Look {
    fn take(&mut self, bytes: &Bytes) {
        let room = self.signs.look - self.bytes.len().min(self.signs.look);
        self.bytes.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }
}

impl Drop for Look {
    fn drop(&mut self) {
        if (self.signs.is_written)(&self.bytes) {
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
