//! Health and metrics.

use super::error::ApiError;
use super::router::Shared;
use crate::host::{Host, ModelState};
use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use personaguard_terms::FailurePolicy;
use serde_json::json;
use std::sync::Arc;

/// Content type of what `prometheus-client` writes.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Whether the process lives.
pub(super) async fn healthz() -> Response {
    Json(json!({ "status": "ok" })).into_response()
}

/// Whether the model serves; if not, why. In front of another server also where it cannot be
/// served, and the failure policy lets answers pass: the pod must not go because its guard does.
pub(super) async fn readyz(State(shared): State<Shared>) -> Response {
    let state = shared.host.state();
    let (status, body) = match &state.model {
        ModelState::Ready(serving) => {
            (StatusCode::OK, json!({ "status": "ready", "model": serving.name }))
        }
        ModelState::Failed(failure)
            if shared.proxies && state.failure_policy == Some(FailurePolicy::Open) =>
        {
            (
                StatusCode::OK,
                json!({ "status": "unguarded", "model": state.model_name, "reason": failure.reason, "message": failure.message }),
            )
        }
        ModelState::Failed(failure) => (
            StatusCode::SERVICE_UNAVAILABLE,
            json!({ "status": "failed", "model": state.model_name, "reason": failure.reason, "message": failure.message }),
        ),
        ModelState::Loading => {
            let message = state.config_error.as_deref().unwrap_or("the weights are being loaded");
            let reason = if state.config_error.is_some() { "ConfigRejected" } else { "Loading" };
            let body = json!({ "status": "loading", "model": state.model_name, "reason": reason, "message": message });
            (StatusCode::SERVICE_UNAVAILABLE, body)
        }
    };
    (status, Json(body)).into_response()
}

/// Prometheus metrics.
pub(super) async fn metrics(State(host): State<Arc<Host>>) -> Response {
    ([(header::CONTENT_TYPE, OPEN_METRICS)], host.metrics()).into_response()
}

/// A path that does not exist.
pub(super) async fn not_found() -> ApiError {
    ApiError::body(
        StatusCode::NOT_FOUND,
        "unknown_url",
        "No such path. This server has /v1/chat/completions and /v1/models.",
    )
}

/// A method that a path does not take.
pub(super) async fn wrong_method() -> ApiError {
    ApiError::body(
        StatusCode::METHOD_NOT_ALLOWED,
        "method_not_allowed",
        "This path does not take this method. /v1/chat/completions takes POST, all others GET.",
    )
}
