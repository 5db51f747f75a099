//! Responses of paths that make no model write, under a policy that withholds text: a server could
//! answer there with anything, so what leaves is made of names and numbers.

mod data;
mod metrics;

pub(super) use data::is_written;

use super::answer::withheld;
use super::context::Context;
use super::headers::{Asked, allowed, set_type};
use super::path::Passive;
use crate::http::{ApiError, Patience, Received, collect, is_encoded};
use axum::body::Body;
use axum::extract::Request;
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

/// Longest body that is read.
const MAX_BODY: usize = 32 << 20;

pub(super) async fn answer(
    context: &Context,
    passive: Passive,
    mut request: Request,
) -> Result<Response, ApiError> {
    let is_head = request.method() == Method::HEAD;
    let asked = Asked::by(request.headers());
    // A compressed response could not be read.
    request.headers_mut().remove(header::ACCEPT_ENCODING);
    let response = context.forwarder.send(request).await?;
    let (parts, body) = response.into_parts();
    let mut kept = Response::new(Body::empty());
    *kept.status_mut() = parts.status;
    *kept.headers_mut() = allowed(&parts.headers, &asked);
    if is_head || passive == Passive::Health {
        return Ok(kept);
    }
    let patience = Patience::Piece(context.timeouts.upstream);
    let bytes = match collect(body, MAX_BODY, patience, context.limits.bodies).await {
        Ok(Received::Whole(bytes)) if !is_encoded(&parts.headers) => bytes,
        _ => return Err(unreadable()),
    };
    if bytes.is_empty() {
        return Ok(kept);
    }
    let text = if parts.status.is_success() {
        let ours = context.app.served().map(|served| served.in_force().name.clone());
        let is_known = |name: &str| ours.as_deref() == Some(name) || context.names.knows(name);
        filtered(passive, &bytes, &is_known).ok_or_else(unreadable)?
    } else {
        error(parts.status, &bytes)
    };
    let is_metrics = passive == Passive::Metrics && parts.status.is_success();
    set_type(kept.headers_mut(), if is_metrics { METRICS } else { "application/json" });
    *kept.body_mut() = Body::from(text);
    Ok(kept)
}

const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What may leave of a body, by which names are known; none where a model seems to have written it.
pub(super) fn filtered(
    passive: Passive,
    bytes: &[u8],
    is_known: &dyn Fn(&str) -> bool,
) -> Option<String> {
    match passive {
        Passive::Health => Some(String::new()),
        Passive::Metrics => Some(metrics::keep(bytes)),
        Passive::Data => {
            let value = serde_json::from_slice::<Value>(bytes).ok()?;
            data::keep(value, is_known).map(|data| data.to_string())
        }
    }
}

/// The body of an error without the server's words.
fn error(status: StatusCode, bytes: &[u8]) -> String {
    let body = serde_json::from_slice::<Value>(bytes).unwrap_or_default();
    json!({ "error": withheld(&body["error"], Some(status.as_u16())) }).to_string()
}

/// What the upstream server answers with is no such thing: perhaps a model wrote it.
fn unreadable() -> ApiError {
    tracing::warn!("the upstream server answers with text where no model should write");
    ApiError::gateway(
        StatusCode::BAD_GATEWAY,
        "guard_unexpected_answer",
        "A policy on this service withholds what cannot be scored, and the model server answered \
         this path with text.",
    )
}

/// The answer to a browser that asks what it may send.
pub(super) async fn preflight(context: &Context, request: Request) -> Result<Response, ApiError> {
    let asked = Asked::by(request.headers());
    let response = context.forwarder.send(request).await?;
    Ok((response.status(), allowed(response.headers(), &asked)).into_response())
}
