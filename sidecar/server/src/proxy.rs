//! Placement Proxy: in front of another OpenAI-compatible server.
//!
//! Every request is forwarded as it came. Of those that make a model write ([`path`]), the answer
//! is scored by teacher-forced passes of the same model, and judged by the same plan as in
//! placement Serve:
//! - no policy: bytes pass both ways, nothing is read ([`forward`]);
//! - nothing has to wait: bytes pass at once, a copy of the text is scored afterwards
//!   ([`observed`]);
//! - a policy enforces: text waits until it was scored ([`held`], [`stream`], [`whole`]).
//!
//! What cannot be scored follows the failure policy. [`held`] and [`transcript`] are pure: bytes
//! and scores in, bytes out.

mod choice;
mod forward;
mod guarded;
mod held;
mod observed;
mod path;
mod payload;
mod request;
mod scorer;
mod stream;
mod transcript;
mod whole;

pub use forward::{Upstream, UpstreamError};

use crate::host::Host;
use crate::http::{Limits, catch_panics};
use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use forward::Forwarder;
use path::Kind;
use std::sync::Arc;
use std::time::Duration;

/// Times of the proxy.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// Longest silence of the upstream server while an answer is awaited or written.
    pub upstream: Duration,
    /// Longest time for scoring one piece of an answer.
    pub score: Duration,
}

impl Default for Times {
    fn default() -> Self {
        Self { upstream: Duration::from_secs(600), score: Duration::from_secs(10) }
    }
}

/// What handlers share.
#[derive(Clone, Debug)]
struct Proxy {
    host: Arc<Host>,
    forwarder: Forwarder,
    limits: Limits,
    times: Times,
}

/// Everything goes to the upstream server; health and metrics of the sidecar are on its own port
/// only.
pub fn router(host: Arc<Host>, limits: Limits, upstream: &Upstream, times: Times) -> Router {
    let proxy = Proxy { host, forwarder: Forwarder::new(upstream, times), limits, times };
    catch_panics(Router::new().fallback(handle).with_state(proxy))
}

async fn handle(State(proxy): State<Proxy>, request: Request) -> Response {
    let answer = match path::kind(request.method(), request.uri().path()) {
        Kind::Plain => proxy.forwarder.send(request).await,
        Kind::Writes(api) => guarded::answer(&proxy, api, request).await,
    };
    answer.unwrap_or_else(IntoResponse::into_response)
}

#[cfg(test)]
mod fuzz_tests;
