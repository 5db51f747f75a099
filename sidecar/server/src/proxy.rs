//! Placements Proxy and Engine: in front of another model server.
//!
//! Every request is forwarded. What it is for, its path says ([`path`]):
//! - A model writes the answer, in an API that is read here. The response is scored by
//!   teacher-forced passes of the same model, or by the plugin in the engine that writes it
//!   ([`scoring`]), and judged by the same plan as in placement Serve. Of several answers each is
//!   asked for apart where the plugin measures them ([`several`]). No policy: bytes pass both
//!   ways, nothing is read ([`forward`]). Nothing has to wait: bytes pass at once, a copy of the
//!   text is scored afterwards ([`observed`]). A policy enforces: text waits until it was scored,
//!   and nothing but text and what says nothing leaves ([`held`], [`stream`], [`whole`]).
//! - No model writes ([`passive`]): under a policy that withholds text, names and numbers leave.
//! - Anything else is refused, or passes and is counted ([`unknown`]).
//!
//! What a request says is read in [`request`], what a response says in [`answer`]. What cannot be
//! read follows the policy's `unscorableRequests`, every other fault its `failurePolicy`.
//! [`answer`], [`held`], [`transcript`] and [`ending`] are pure: bytes and scores in, bytes out.

mod answer;
mod attempts;
mod choice;
mod context;
mod early;
mod echo;
mod ending;
mod exchange;
mod forward;
mod guarded;
mod headers;
mod held;
mod keep_alive;
mod last_token;
mod linked;
mod measured;
mod names;
mod observed;
mod passive;
mod path;
mod request;
mod respond;
mod row_scorer;
mod scored_text;
mod scorer;
mod scoring;
mod several;
mod shape;
mod stream;
mod timeouts;
mod token_count;
mod transcript;
mod unguarded;
mod unknown;
mod upstream_error;
mod whole;
mod writes;

pub use forward::{Upstream, UpstreamError};
pub use timeouts::Timeouts;

use crate::http::{ApiError, Limits, catch_panics};
use crate::runtime::AppState;
use crate::telemetry::labels::Outcome;
use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use context::Context;
use forward::Forwarder;
use names::Names;
use path::{Passive, Route};
use personaguard_terms::FailurePolicy;
use std::sync::Arc;
use std::time::Duration;

/// Everything goes to the upstream server; health and metrics of the sidecar are on its own port
/// only.
pub fn router(
    app: Arc<AppState>,
    limits: Limits,
    upstream: &Upstream,
    timeouts: Timeouts,
) -> Router {
    let forwarder = Forwarder::new(upstream, timeouts, limits);
    let context = Context {
        app,
        forwarder,
        limits,
        timeouts,
        knows_tokens: Arc::default(),
        names: Names::default(),
    };
    catch_panics(Router::new().fallback(handle).with_state(context))
}

async fn handle(State(context): State<Context>, request: Request) -> Response {
    let response = match path::route(request.method(), request.uri().path()) {
        Route::Writes(api) => writes::answer(&context, api, request).await,
        Route::Passive(passive) => quiet(&context, Some(passive), request).await,
        Route::Preflight => quiet(&context, None, request).await,
        Route::Unknown => unknown::answer(&context, request).await,
    };
    response.unwrap_or_else(|error| refused(&context, error))
}

/// A request that makes no model write: as it is, where no policy withholds text.
async fn quiet(
    context: &Context,
    passive: Option<Passive>,
    request: Request,
) -> Result<Response, ApiError> {
    let holds_back = match context.app.served() {
        Some(served) => {
            let plan = &served.in_force().plan;
            plan.holds_back() || plan.refuses_unscorable()
        }
        None => context.app.snapshot().failure_policy != Some(FailurePolicy::Open),
    };
    match passive {
        None if !holds_back => context.forwarder.send(request).await,
        Some(_) if !holds_back => unknown::pass(context, request).await,
        Some(passive) => passive::answer(context, passive, request).await,
        None => passive::preflight(context, request).await,
    }
}

fn refused(context: &Context, error: ApiError) -> Response {
    context.app.metrics.responses.observe_end(Outcome::Rejected, Duration::ZERO);
    tracing::info!(status = error.status.as_u16(), code = error.code(), "request refused");
    error.into_response()
}

#[cfg(test)]
mod fuzz_tests;
#[cfg(test)]
mod hostile_server_tests;
