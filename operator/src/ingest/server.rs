//! Routes and limits.

use super::error::PushError;
use super::identity::{PodIdentity, TokenReviewer};
use super::{extraction, report};
use crate::context::Context;
use crate::fleet::Fleet;
use crate::vector;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use personaguard_api::names;
use personaguard_wire::{MAX_REPORT_BYTES, MAX_VECTOR_BYTES};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::timeout::TimeoutLayer;

/// Pushes that are handled at the same time. Further ones are to be retried.
const MAX_CONCURRENT_PUSHES: usize = 128;
/// For one push, including reading it.
const TIMEOUT: Duration = Duration::from_secs(10);
const MAX_PROGRESS_BYTES: usize = 1 << 10;

/// Where pushes go.
pub(crate) struct Ingest {
    pub(crate) context: Arc<Context>,
    pub(crate) fleet: Arc<Fleet>,
    pub(crate) vectors: Arc<vector::Controller>,
}

struct Server {
    ingest: Ingest,
    reviewer: TokenReviewer,
    slots: Semaphore,
}

pub(crate) fn router(ingest: Ingest) -> Router {
    let reviewer = TokenReviewer::new(ingest.context.cluster.client.clone());
    let slots = Semaphore::new(MAX_CONCURRENT_PUSHES);
    let server = Arc::new(Server { ingest, reviewer, slots });
    Router::new()
        .route(names::REPORT_PATH, post(push_report).layer(DefaultBodyLimit::max(MAX_REPORT_BYTES)))
        .route(names::VECTOR_PATH, post(push_vector).layer(DefaultBodyLimit::max(MAX_VECTOR_BYTES)))
        .route(
            names::PROGRESS_PATH,
            post(push_progress).layer(DefaultBodyLimit::max(MAX_PROGRESS_BYTES)),
        )
        .layer(from_fn_with_state(Arc::clone(&server), limit_concurrency))
        .layer(TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, TIMEOUT))
        .layer(CatchPanicLayer::new())
        .with_state(server)
}

/// The limit includes reading the body.
async fn limit_concurrency(
    State(server): State<Arc<Server>>,
    request: Request,
    next: Next,
) -> Response {
    match server.slots.try_acquire() {
        Ok(_slot) => next.run(request).await,
        Err(_) => server.respond(Err(PushError::Overloaded)),
    }
}

async fn push_report(
    State(server): State<Arc<Server>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let Ingest { context, fleet, .. } = &server.ingest;
    server.respond(match server.identify(&headers).await {
        Ok(pod) => report::accept(context, fleet, &pod, &body).await,
        Err(error) => Err(error),
    })
}

async fn push_vector(
    State(server): State<Arc<Server>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let Ingest { context, vectors, .. } = &server.ingest;
    server.respond(match server.identify(&headers).await {
        Ok(pod) => extraction::accept_vector(context, vectors, &pod, &body).await,
        Err(error) => Err(error),
    })
}

async fn push_progress(
    State(server): State<Arc<Server>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let Ingest { context, vectors, .. } = &server.ingest;
    server.respond(match server.identify(&headers).await {
        Ok(pod) => extraction::accept_progress(context, vectors, &pod, &body).await,
        Err(error) => Err(error),
    })
}

impl Server {
    async fn identify(&self, headers: &HeaderMap) -> Result<PodIdentity, PushError> {
        self.ingest.context.cluster.check_leading()?;
        Ok(self.reviewer.identify(bearer_token(headers)?).await?)
    }

    /// Counts a push and answers it.
    fn respond(&self, result: Result<(), PushError>) -> Response {
        let label = result.as_ref().map_or_else(PushError::result, |()| "accepted");
        self.ingest.context.metrics.push(label);
        match result {
            Ok(()) => StatusCode::NO_CONTENT.into_response(),
            Err(error) => {
                tracing::debug!(result = label, %error, "a push was not accepted");
                error.into_response()
            }
        }
    }
}

fn bearer_token(headers: &HeaderMap) -> Result<&str, PushError> {
    let header = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    header.and_then(|value| value.strip_prefix("Bearer ")).ok_or_else(|| {
        PushError::Unauthenticated("send the header `Authorization: Bearer TOKEN`".to_owned())
    })
}
