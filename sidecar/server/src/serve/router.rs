//! Routes.

use super::error::ApiError;
use super::listen::Limits;
use super::{admin, chat, models};
use crate::host::Host;
use axum::Router;
use axum::extract::FromRef;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use std::any::Any;
use std::sync::Arc;
use tower_http::catch_panic::CatchPanicLayer;

/// What handlers share.
#[derive(Clone, Debug)]
pub(super) struct Shared {
    pub(super) host: Arc<Host>,
    pub(super) limits: Limits,
    /// Another server answers, also while no model is loaded here.
    pub(super) proxies: bool,
}

impl FromRef<Shared> for Arc<Host> {
    fn from_ref(shared: &Shared) -> Self {
        Arc::clone(&shared.host)
    }
}

/// The API, with health and metrics.
pub fn api(host: Arc<Host>, limits: Limits) -> Router {
    let routes = health()
        .route("/v1/chat/completions", post(chat::completions))
        .route("/v1/models", get(models::list))
        .route("/v1/models/{id}", get(models::get));
    finish(routes, Shared { host, limits, proxies: false })
}

/// Health and metrics only; of a sidecar that stands in front of another server, where `proxies`.
pub fn admin(host: Arc<Host>, limits: Limits, proxies: bool) -> Router {
    finish(health(), Shared { host, limits, proxies })
}

fn health() -> Router<Shared> {
    Router::new()
        .route("/healthz", get(admin::healthz))
        .route("/readyz", get(admin::readyz))
        .route("/metrics", get(admin::metrics))
}

fn finish(routes: Router<Shared>, shared: Shared) -> Router {
    let routes = routes.fallback(admin::not_found).method_not_allowed_fallback(admin::wrong_method);
    catch_panics(routes.with_state(shared))
}

/// A handler that panics costs its own request only.
pub(crate) fn catch_panics(routes: Router) -> Router {
    routes.layer(CatchPanicLayer::custom(panicked))
}

/// The panic's message may hold anything, so it is not repeated.
fn panicked(_: Box<dyn Any + Send>) -> Response {
    tracing::error!("a request handler panicked: this is a bug");
    ApiError::internal("This request met a bug in the server. Other requests go on.")
        .into_response()
}
