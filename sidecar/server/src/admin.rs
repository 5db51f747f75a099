//! Health and metrics: the routes that both placements and the admin port have.

use crate::http::{catch_panics, with_fallbacks};
use crate::runtime::{AppState, ModelState};
use axum::extract::{FromRef, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use personaguard_ops::scrape::Format;
use personaguard_terms::FailurePolicy;
use personaguard_terms::names::INSTANCE_PATH;
use serde_json::json;
use std::sync::Arc;

/// What the handlers share.
#[derive(Clone, Debug)]
struct Admin {
    app: Arc<AppState>,
    /// Another server answers, also while no model is loaded here.
    proxies: bool,
}

impl FromRef<Admin> for Arc<AppState> {
    fn from_ref(admin: &Admin) -> Self {
        Arc::clone(&admin.app)
    }
}

/// Health and metrics alone, and which process this is. `proxies`: the sidecar stands in front of
/// another server.
pub fn router(app: Arc<AppState>, proxies: bool) -> Router {
    let instance = Router::new().route(INSTANCE_PATH, get(instance)).with_state(Arc::clone(&app));
    catch_panics(with_fallbacks(routes(app, proxies).merge(instance)))
}

/// The routes, to be merged with those of an API.
pub(crate) fn routes<S: Clone + Send + Sync + 'static>(
    app: Arc<AppState>,
    proxies: bool,
) -> Router<S> {
    Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(Admin { app, proxies })
}

/// Whether the process lives.
async fn healthz() -> Response {
    Json(json!({ "status": "ok" })).into_response()
}

/// Whether the model serves; if not, why. In front of another server also where it cannot be
/// served, and the failure policy lets answers pass: the pod must not go because its guard does.
async fn readyz(State(admin): State<Admin>) -> Response {
    let state = admin.app.snapshot();
    let (status, body) = match &state.model {
        ModelState::Ready(served) => {
            (StatusCode::OK, json!({ "status": "ready", "model": served.in_force().name }))
        }
        ModelState::Failed(failure)
            if admin.proxies && state.failure_policy == Some(FailurePolicy::Open) =>
        {
            (
                StatusCode::OK,
                json!({
                    "status": "unguarded", "model": state.model_name, "reason": failure.reason,
                    "message": failure.message
                }),
            )
        }
        ModelState::Failed(failure) => (
            StatusCode::SERVICE_UNAVAILABLE,
            json!({
                "status": "failed", "model": state.model_name, "reason": failure.reason,
                "message": failure.message
            }),
        ),
        ModelState::Loading => {
            let (reason, message) = match (&state.config_error, &state.fetching) {
                (Some(error), _) => ("ConfigRejected", error.as_str()),
                (None, Some(fetching)) => (fetching.reason.as_str(), fetching.message.as_str()),
                (None, None) => ("Loading", "the weights are being loaded"),
            };
            let body = json!({
                "status": "loading", "model": state.model_name, "reason": reason, "message": message
            });
            (StatusCode::SERVICE_UNAVAILABLE, body)
        }
    };
    (status, Json(body)).into_response()
}

/// The process whose reports are the pod's. The operator asks where the address of a push does not
/// tell it.
async fn instance(State(app): State<Arc<AppState>>) -> Response {
    Json(json!({ "instance": app.instance() })).into_response()
}

/// Prometheus metrics, in the format that the scraper asks for.
async fn metrics(State(app): State<Arc<AppState>>, headers: HeaderMap) -> Response {
    let accept = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let format = Format::accepted(accept);
    let text = format.write(&app.encode_metrics());
    ([(header::CONTENT_TYPE, format.content_type())], text).into_response()
}

#[cfg(test)]
mod tests;
