//! Placement Serve: the OpenAI-compatible API of the model that is served here.

mod attempt;
mod calls;
mod choices;
mod coherence;
mod completions;
mod grammar;
mod guarded;
mod models;
mod piece;
mod request;
mod response_head;
mod retry;
mod scores;
mod stream;
mod submit;
mod whole;

use crate::admin;
use crate::host::Host;
use crate::http::{Limits, catch_panics, with_fallbacks};
use axum::Router;
use axum::extract::FromRef;
use axum::routing::{get, post};
use std::sync::Arc;

/// What the handlers share.
#[derive(Clone, Debug)]
struct Chat {
    host: Arc<Host>,
    limits: Limits,
}

impl FromRef<Chat> for Arc<Host> {
    fn from_ref(chat: &Chat) -> Self {
        Arc::clone(&chat.host)
    }
}

impl FromRef<Chat> for Limits {
    fn from_ref(chat: &Chat) -> Self {
        chat.limits
    }
}

/// The API, with health and metrics.
pub fn router(host: Arc<Host>, limits: Limits) -> Router {
    let routes = admin::routes(Arc::clone(&host), false)
        .route("/v1/chat/completions", post(completions::completions))
        .route("/v1/models", get(models::list))
        .route("/v1/models/{id}", get(models::get));
    catch_panics(with_fallbacks(routes).with_state(Chat { host, limits }))
}

#[cfg(test)]
mod fuzz_tests;
