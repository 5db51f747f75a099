//! Placement Serve: the OpenAI-compatible API of the model that is served here.

mod anthropic;
mod attempt;
mod call;
mod call_reader;
mod choices;
mod coherence;
mod completions;
mod embeddings;
mod grammar;
mod guarded;
mod held_text;
mod models;
mod named_events;
mod path;
mod piece;
mod prompt;
mod reasoning;
mod request;
mod response_head;
mod responses;
mod retry;
mod scores;
mod start;
mod stream;
mod submit;
mod text;
mod tokenize;
mod whole;

use crate::admin;
use crate::http::{Limits, catch_panics, front, open_to_browsers, with_fallbacks};
use crate::runtime::AppState;
use axum::Router;
use axum::extract::FromRef;
use axum::routing::{get, post};
use std::sync::Arc;

/// What the handlers share.
#[derive(Clone, Debug)]
struct Chat {
    app: Arc<AppState>,
    limits: Limits,
}

impl FromRef<Chat> for Arc<AppState> {
    fn from_ref(chat: &Chat) -> Self {
        Arc::clone(&chat.app)
    }
}

impl FromRef<Chat> for Limits {
    fn from_ref(chat: &Chat) -> Self {
        chat.limits
    }
}

/// The API, with health and metrics.
pub fn router(app: Arc<AppState>, limits: Limits) -> Router {
    let routes = admin::routes(Arc::clone(&app), false)
        .route("/v1/chat/completions", post(completions::completions))
        .route("/v1/completions", post(text::completions))
        .route("/v1/responses", post(responses::responses))
        .route("/v1/messages", post(anthropic::messages))
        .route("/v1/messages/count_tokens", post(anthropic::count_tokens))
        .route("/v1/embeddings", post(embeddings::embeddings))
        .route("/v1/models", get(models::list))
        .route("/v1/models/{id}", get(models::get))
        .route("/tokenize", post(tokenize::tokenize))
        .route("/detokenize", post(tokenize::detokenize));
    let routes = catch_panics(with_fallbacks(routes).with_state(Chat { app, limits }));
    front(routes.layer(open_to_browsers(path::is_api)), path::respell)
}

#[cfg(test)]
mod fuzz_tests;
