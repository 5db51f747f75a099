//! Routes and limits. A push proves whose it is before a byte of its body is read.

use super::connections::Connections;
use super::error::PushError;
use super::gate::Gate;
use super::identity::PodIdentity;
use super::pod_answers::PodAnswers;
use super::report::Push;
use super::{extraction, report};
use crate::context::Context;
use crate::fleet::Fleet;
use crate::vector;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{ConnectInfo, DefaultBodyLimit, Extension, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use personaguard_api::names;
use personaguard_wire::{MAX_REPORT_BYTES, MAX_VECTOR_BYTES};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::timeout::TimeoutLayer;

/// For one push, including reading it.
const TIMEOUT: Duration = Duration::from_secs(10);
const MAX_PROGRESS_BYTES: usize = 1 << 10;

/// Where pushes go.
pub(crate) struct Ingest {
    pub(crate) context: Arc<Context>,
    pub(crate) fleet: Arc<Fleet>,
    pub(crate) vectors: Arc<vector::Controller>,
    pub(crate) connections: Connections,
}

struct Server {
    ingest: Ingest,
    gate: Gate,
    answers: PodAnswers,
}

/// To be served with the address of each connection's peer.
///
/// # Errors
/// If no HTTP client can be made.
pub(crate) fn router(ingest: Ingest) -> reqwest::Result<Router> {
    let gate = Gate::new(ingest.context.cluster.client.clone(), ingest.connections.clone());
    let answers = PodAnswers::new(names::ADMIN_PORT)?;
    let server = Arc::new(Server { ingest, gate, answers });
    let router = Router::new()
        .route(names::REPORT_PATH, post(push_report).layer(DefaultBodyLimit::max(MAX_REPORT_BYTES)))
        .route(names::VECTOR_PATH, post(push_vector).layer(DefaultBodyLimit::max(MAX_VECTOR_BYTES)))
        .route(
            names::PROGRESS_PATH,
            post(push_progress).layer(DefaultBodyLimit::max(MAX_PROGRESS_BYTES)),
        )
        .route_layer(from_fn_with_state(Arc::clone(&server), admit))
        .layer(TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, TIMEOUT))
        .layer(CatchPanicLayer::new())
        .with_state(server);
    Ok(router)
}

/// Finds out whose push it is, and only then lets it take a place and be read.
async fn admit(
    State(server): State<Arc<Server>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    mut request: Request,
    next: Next,
) -> Response {
    let admitted = match server.ingest.context.cluster.check_leading() {
        Ok(()) => server.gate.admit(request.headers(), peer).await,
        Err(error) => Err(error.into()),
    };
    let admitted = match admitted {
        Ok(admitted) => admitted,
        Err(error) => return server.respond(Err(error)),
    };
    // Reports come from everywhere. What is larger does not, and is judged before it is read.
    if request.uri().path() != names::REPORT_PATH
        && let Err(error) = extraction::check_namespace(&server.ingest.context, &admitted.pod)
    {
        return server.respond(Err(error));
    }
    request.extensions_mut().insert(admitted.pod.clone());
    next.run(request).await
}

async fn push_report(
    State(server): State<Arc<Server>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Extension(identity): Extension<PodIdentity>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let Server { ingest: Ingest { context, fleet, .. }, answers, .. } = server.as_ref();
    let push = Push { identity: &identity, peer: peer.ip(), headers: &headers, body: &body };
    server.respond(report::accept(context, fleet, answers, push).await)
}

async fn push_vector(
    State(server): State<Arc<Server>>,
    Extension(pod): Extension<PodIdentity>,
    body: Bytes,
) -> Response {
    let Ingest { context, vectors, .. } = &server.ingest;
    server.respond(extraction::accept_vector(context, vectors, &pod, &body).await)
}

async fn push_progress(
    State(server): State<Arc<Server>>,
    Extension(pod): Extension<PodIdentity>,
    body: Bytes,
) -> Response {
    let Ingest { context, vectors, .. } = &server.ingest;
    server.respond(extraction::accept_progress(context, vectors, &pod, &body).await)
}

impl Server {
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

#[cfg(test)]
mod tests;
