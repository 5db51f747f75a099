//! What every router has: errors in the API's shape, also for unknown paths and for panics.

use super::error::ApiError;
use axum::Router;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use std::any::Any;
use tower_http::catch_panic::CatchPanicLayer;

/// Answers unknown paths and wrong methods with an error of the API.
pub(crate) fn with_fallbacks<S: Clone + Send + Sync + 'static>(routes: Router<S>) -> Router<S> {
    routes.fallback(unknown_path).method_not_allowed_fallback(wrong_method)
}

async fn unknown_path() -> ApiError {
    ApiError::request(
        StatusCode::NOT_FOUND,
        "unknown_url",
        "No such path. This server has /v1/chat/completions, /v1/completions, /v1/responses, \
         /v1/messages, /v1/embeddings, /v1/models, /tokenize and /detokenize.",
    )
}

async fn wrong_method() -> ApiError {
    ApiError::request(
        StatusCode::METHOD_NOT_ALLOWED,
        "method_not_allowed",
        "This path does not take this method. Those that write take POST, all others GET.",
    )
}

/// A handler that panics fails its own request only.
pub(crate) fn catch_panics(routes: Router) -> Router {
    routes.layer(CatchPanicLayer::custom(panicked))
}

/// The panic's message may hold anything, so it is not repeated.
fn panicked(_: Box<dyn Any + Send>) -> Response {
    tracing::error!("a request handler panicked: this is a bug");
    ApiError::internal("This request hit a bug in the server. Other requests go on.")
        .into_response()
}
