//! Placement Proxy: in front of another OpenAI-compatible server.
//!
//! Every request is forwarded as it came. If it makes a model write ([`path`]), the response is
//! scored by teacher-forced passes of the same model, and judged by the same plan as in placement
//! Serve:
//! - no policy: bytes pass both ways, nothing is read ([`forward`]);
//! - nothing has to wait: bytes pass at once, a copy of the text is scored afterwards
//!   ([`observed`]);
//! - a policy enforces: text waits until it was scored ([`held`], [`stream`], [`whole`]).
//!
//! What cannot be scored follows the failure policy. [`held`] and [`transcript`] are pure: bytes
//! and scores in, bytes out.

mod choice;
mod context;
mod exchange;
mod filtered;
mod forward;
mod guarded;
mod held;
mod observed;
mod path;
mod payload;
mod request;
mod respond;
mod scored_text;
mod scorer;
mod stream;
mod timeouts;
mod transcript;
mod whole;

pub use forward::{Upstream, UpstreamError};
pub use timeouts::Timeouts;

use crate::http::{Limits, catch_panics};
use crate::runtime::AppState;
use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use context::Context;
use forward::Forwarder;
use path::Kind;
use std::sync::Arc;

/// Everything goes to the upstream server; health and metrics of the sidecar are on its own port
/// only.
pub fn router(
    app: Arc<AppState>,
    limits: Limits,
    upstream: &Upstream,
    timeouts: Timeouts,
) -> Router {
    let forwarder = Forwarder::new(upstream, timeouts);
    let context = Context { app, forwarder, limits, timeouts };
    catch_panics(Router::new().fallback(handle).with_state(context))
}

async fn handle(State(context): State<Context>, request: Request) -> Response {
    let response = match path::kind(request.method(), request.uri().path()) {
        Kind::Plain => context.forwarder.send(request).await,
        Kind::Writes(api) => guarded::answer(&context, api, request).await,
    };
    response.unwrap_or_else(IntoResponse::into_response)
}

#[cfg(test)]
mod fuzz_tests;
