//! Errors of the upstream server, under a policy that withholds text.

use super::answer::withheld;
use super::exchange::GuardedExchange;
use super::headers::{allowed, set_type};
use super::path::Api;
use crate::http::{Patience, Received, collect};
use axum::body::Body;
use axum::response::Response;
use serde_json::{Value, json};

/// Longest error that is read, for its type and code.
const MAX_ERROR: usize = 64 << 10;

/// A response that is no success, with its status and without its words.
pub(super) async fn response(exchange: GuardedExchange, response: Response) -> Response {
    let (parts, body) = response.into_parts();
    let patience = Patience::Whole(exchange.silence);
    let read = collect(body, MAX_ERROR, patience, exchange.bodies).await;
    let said = match read {
        Ok(Received::Whole(bytes)) => serde_json::from_slice(&bytes).unwrap_or_default(),
        _ => Value::Null,
    };
    let error = withheld(&said["error"], Some(parts.status.as_u16()));
    let body = match exchange.naming.api {
        Api::Messages => json!({ "type": "error", "error": error }),
        _ => json!({ "error": error }),
    };
    let has_body = parts.status.is_client_error() || parts.status.is_server_error();
    let mut kept = Response::new(Body::empty());
    *kept.status_mut() = parts.status;
    *kept.headers_mut() = allowed(&parts.headers, &exchange.asked);
    if has_body {
        set_type(kept.headers_mut(), "application/json");
        *kept.body_mut() = Body::from(body.to_string());
    }
    kept
}
