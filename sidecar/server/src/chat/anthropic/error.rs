//! Errors in the shape of Anthropic's API: `{"type": "error", "error": {"type", "message"}}`.

use crate::http::ApiError;
use axum::body::Body;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};

/// The response that says it.
pub(super) fn response(error: ApiError) -> Response {
    let body = body(&error);
    let mut response = error.into_response();
    *response.body_mut() = Body::from(body.to_string());
    response
}

/// What it says; `param` and `code` are those of OpenAI's API.
pub(super) fn body(error: &ApiError) -> Value {
    let mut said = json!(error.body);
    said["type"] = json!("error");
    said["error"]["type"] = json!(kind(error.status));
    said
}

fn kind(status: StatusCode) -> &'static str {
    match status {
        StatusCode::FORBIDDEN => "permission_error",
        StatusCode::NOT_FOUND => "not_found_error",
        StatusCode::PAYLOAD_TOO_LARGE => "request_too_large",
        StatusCode::TOO_MANY_REQUESTS => "rate_limit_error",
        status if status.is_client_error() => "invalid_request_error",
        _ => "api_error",
    }
}
