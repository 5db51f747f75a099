//! `POST /v1/chat/completions`.

use super::request::ChatRequest;
use super::start::{Incoming, Started};
use super::{stream, whole};
use axum::response::Response;

/// Answers a chat.
pub(super) async fn completions(incoming: Incoming) -> Response {
    let answer = async |incoming: Incoming| {
        let Started { head, choices, is_stream, include_usage, .. } =
            incoming.start("chatcmpl-", ChatRequest::parse).await?;
        Ok(if is_stream {
            stream::response(head, choices, include_usage)
        } else {
            whole::response(&head, choices).await
        })
    };
    incoming.answer(answer).await
}
