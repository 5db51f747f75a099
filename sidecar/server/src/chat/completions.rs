//! `POST /v1/chat/completions`.

use super::request::ChatRequest;
use super::start::{Incoming, Started};
use super::{stream, whole};
use crate::http::Limits;
use crate::runtime::AppState;
use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use std::sync::Arc;

/// Answers a chat.
pub(super) async fn completions(
    app: State<Arc<AppState>>,
    limits: State<Limits>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let answer = async |incoming: Incoming| {
        let Started { head, choices, is_stream, include_usage } =
            incoming.start("chatcmpl-", ChatRequest::parse).await?;
        Ok(if is_stream {
            stream::response(head, choices, include_usage)
        } else {
            whole::response(&head, choices).await
        })
    };
    Incoming::new(app, limits, headers, body).answer(answer).await
}
