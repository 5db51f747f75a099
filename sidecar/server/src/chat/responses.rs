//! `POST /v1/responses`: a chat by OpenAI's other API. Nothing is kept.

mod body;
mod events;
mod text_item;

use super::call::{Call, Part};
use super::guarded::Output;
use super::named_events::streamed;
use super::request::ChatRequest;
use super::start::{Incoming, Started};
use crate::http::ApiError;
use axum::Json;
use axum::response::{IntoResponse, Response};
use body::{ResponseBody, call};
use events::Events;
use text_item::TextItem;

/// Answers a request.
pub(super) async fn responses(incoming: Incoming) -> Response {
    let answer = async |incoming: Incoming| {
        let started = incoming.start("resp_", ChatRequest::parse_responses).await?;
        if started.is_stream {
            Ok(streamed(Events::new(started.head), started.choices))
        } else {
            whole(started).await
        }
    };
    incoming.answer(answer).await
}

async fn whole(started: Started) -> Result<Response, ApiError> {
    let Started { head, mut choices, .. } = started;
    let (mut thought, mut text) = (String::new(), String::new());
    let (mut calls, mut end) = (Vec::new(), None);
    while let Some((_, output)) = choices.next().await {
        match output? {
            Output::Part(Part::Thought(piece)) => thought.push_str(&piece),
            Output::Part(Part::Text(piece)) => text.push_str(&piece.text),
            Output::Part(Part::Call(called)) => calls.push(called),
            Output::End(ended) => {
                end = Some(ended);
            }
        }
    }
    let mut output = Vec::new();
    if !thought.is_empty() {
        output.push(TextItem::Reasoning.item(&head.id, &thought));
    }
    if !text.is_empty() || calls.is_empty() {
        output.push(TextItem::Message.item(&head.id, &text));
    }
    output.extend(calls.into_iter().map(|called: Call| call(&called.into_body())));
    Ok(Json(ResponseBody::new(&head, output, end.as_ref())).into_response())
}
