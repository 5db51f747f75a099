//! Requests to the upstream server and its answers, as they came.

use super::timeouts::Timeouts;
use crate::http::{ApiError, Broken, Limits, Patience, Received, collect, not_received};
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::request::Parts;
use axum::http::uri::{Authority, PathAndQuery, Scheme};
use axum::http::{HeaderMap, HeaderName, StatusCode, Uri, header};
use axum::response::Response;
use hyper::body::{Body as _, Incoming};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{Client, Error};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use personaguard_terms::with_causes;
use std::str::FromStr;
use std::time::{Duration, Instant};

/// Longest wait for a connection.
const CONNECT: Duration = Duration::from_secs(5);
/// Idle connections are given up before the server would: common ones wait 5 s.
const IDLE: Duration = Duration::from_secs(4);
/// Idle connections at most.
const MAX_IDLE: usize = 256;

/// Address of the server behind the proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream(Authority);

impl Upstream {
    /// The port, where the address says it.
    pub(crate) fn port(&self) -> Option<u16> {
        self.0.port_u16()
    }
}

/// What is no address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "give the server as http://HOST:PORT, without a path: it listens in the same pod, so there is \
     no TLS"
)]
pub struct UpstreamError;

impl FromStr for Upstream {
    type Err = UpstreamError;

    fn from_str(text: &str) -> Result<Self, UpstreamError> {
        let uri: Uri = text.parse().map_err(|_| UpstreamError)?;
        let authority = uri
            .authority()
            .filter(|authority| !authority.as_str().contains('@'))
            .ok_or(UpstreamError)?;
        let bare = uri.scheme() == Some(&Scheme::HTTP)
            && matches!(uri.path(), "" | "/")
            && uri.query().is_none();
        if bare { Ok(Self(authority.clone())) } else { Err(UpstreamError) }
    }
}

/// A body that is at most so long is read before it is sent on, so that it can be sent again.
const MAX_RETRIED: usize = 1 << 20;
/// A connection that fails within this time was closed by the server while nothing was sent on it.
const STALE: Duration = Duration::from_secs(1);

/// Connections to the upstream server.
#[derive(Clone, Debug)]
pub(super) struct Forwarder {
    pooled: Client<HttpConnector, Body>,
    /// Never takes a connection from the pool.
    fresh: Client<HttpConnector, Body>,
    authority: Authority,
    wait: Duration,
    limits: Limits,
}

impl Forwarder {
    pub(super) fn new(upstream: &Upstream, timeouts: Timeouts, limits: Limits) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(CONNECT));
        let client = |idle: usize| {
            Client::builder(TokioExecutor::new())
                .pool_timer(TokioTimer::new())
                .pool_idle_timeout(IDLE)
                .pool_max_idle_per_host(idle)
                .build(connector.clone())
        };
        Self {
            pooled: client(MAX_IDLE),
            fresh: client(0),
            authority: upstream.0.clone(),
            wait: timeouts.upstream,
            limits,
        }
    }

    /// Sends a request on. Long bodies stream, at the pace of the slower side, each on a connection
    /// of its own; others are sent once more on a new one where a pooled one turns out to be
    /// closed.
    pub(super) async fn send(&self, request: Request) -> Result<Response, ApiError> {
        let (mut parts, body) = request.into_parts();
        let path =
            parts.uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
        let uri = Uri::builder()
            .scheme(Scheme::HTTP)
            .authority(self.authority.clone())
            .path_and_query(path)
            .build();
        parts.uri = uri.map_err(|_| {
            ApiError::request(StatusCode::BAD_REQUEST, "invalid_url", "The URL makes no sense.")
        })?;
        parts.version = axum::http::Version::HTTP_11;
        strip(&mut parts.headers);
        // The client was told to go on when its body was first read.
        parts.headers.remove(header::EXPECT);
        let is_short = body.size_hint().upper().is_some_and(|length| length <= MAX_RETRIED as u64);
        let answer = if is_short {
            let bytes = self.receive(body).await?;
            tokio::time::timeout(self.wait, self.repeated(parts, bytes)).await
        } else {
            // It is sent once only: not on a connection that may turn out to be closed.
            let sent = self.fresh.request(Request::from_parts(parts, body));
            tokio::time::timeout(self.wait, sent).await
        };
        match answer {
            Ok(Ok(answer)) => {
                let (mut parts, body) = answer.into_parts();
                strip(&mut parts.headers);
                Ok(Response::from_parts(parts, Body::new(body)))
            }
            Ok(Err(error)) => {
                tracing::warn!(error = with_causes(&error), "the upstream server did not answer");
                Err(ApiError::gateway(
                    StatusCode::BAD_GATEWAY,
                    "upstream_unreachable",
                    "The model server did not answer.",
                ))
            }
            Err(_) => Err(stalled(self.wait)),
        }
    }

    /// A short body, within the memory of all bodies, at the client's pace.
    async fn receive(&self, body: Body) -> Result<Bytes, ApiError> {
        let Limits { body_time, bodies, .. } = self.limits;
        match collect(body, MAX_RETRIED, Patience::Piece(body_time), bodies).await {
            Ok(Received::Whole(bytes)) => Ok(bytes),
            Ok(Received::TooLong(..)) => Err(not_received(Broken::EndedEarly, body_time)),
            Err(broken) => Err(not_received(broken, body_time)),
        }
    }

    /// Sends a request, once more where the pooled connection turns out to be closed.
    async fn repeated(
        &self,
        parts: Parts,
        bytes: Bytes,
    ) -> Result<hyper::Response<Incoming>, Error> {
        let request = || Request::from_parts(parts.clone(), Body::from(bytes.clone()));
        let sent = Instant::now();
        match self.pooled.request(request()).await {
            Err(error) if !error.is_connect() && sent.elapsed() < STALE => {
                tracing::debug!(
                    error = with_causes(&error),
                    "a pooled connection was closed: trying a new one"
                );
                self.fresh.request(request()).await
            }
            answer => answer,
        }
    }
}

/// The upstream server is silent for too long.
pub(super) fn stalled(wait: Duration) -> ApiError {
    let message = format!("The model server was silent for {} s.", wait.as_secs());
    ApiError::gateway(StatusCode::GATEWAY_TIMEOUT, "upstream_timeout", message)
}

/// Takes out headers that speak of one connection only.
fn strip(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named {
        headers.remove(name);
    }
    for name in [
        header::CONNECTION,
        header::PROXY_AUTHENTICATE,
        header::PROXY_AUTHORIZATION,
        header::TE,
        header::TRAILER,
        header::TRANSFER_ENCODING,
        header::UPGRADE,
    ] {
        headers.remove(name);
    }
    for name in ["keep-alive", "proxy-connection"] {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests;
