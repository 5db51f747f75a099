//! `POST /v1/responses`: a chat by OpenAI's other API. Nothing is kept.

mod body;
mod events;
mod text_item;

use super::call::{Call, Part};
use super::guarded::Output;
use super::request::ChatRequest;
use super::start::{Incoming, Started};
use crate::http::{ApiError, event_stream};
use crate::openai::{FinishReason, ScoreReport, Usage};
use axum::Json;
use axum::response::{IntoResponse, Response};
use body::{ResponseBody, call};
use events::Events;
use futures::StreamExt as _;
use futures::stream;
use text_item::TextItem;

/// Answers a request.
pub(super) async fn responses(incoming: Incoming) -> Response {
    let answer = async |incoming: Incoming| {
        let started = incoming.start("resp_", ChatRequest::parse_responses).await?;
        if started.is_stream { Ok(streamed(started)) } else { whole(started).await }
    };
    incoming.answer(answer).await
}

/// How the only choice ended.
#[derive(Debug)]
struct End {
    finish_reason: FinishReason,
    usage: Usage,
    scores: Option<ScoreReport>,
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
            Output::End { finish_reason, usage, scores } => {
                end = Some(End { finish_reason, usage, scores });
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

fn streamed(started: Started) -> Response {
    let Started { head, choices, .. } = started;
    let first = (Events::new(head), Some(choices));
    let events = stream::unfold(first, |(mut events, mut choices)| async move {
        while events.is_empty() {
            let writing = choices.as_mut()?;
            match writing.next().await {
                Some((_, Ok(Output::Part(Part::Thought(text))))) => {
                    events.text(TextItem::Reasoning, &text);
                }
                Some((_, Ok(Output::Part(Part::Text(piece))))) => {
                    events.text(TextItem::Message, &piece.text);
                }
                Some((_, Ok(Output::Part(Part::Call(called))))) => events.call(&called.into_body()),
                Some((_, Ok(Output::End { finish_reason, usage, scores }))) => {
                    events.end(&End { finish_reason, usage, scores });
                }
                Some((_, Err(error))) => {
                    events.fail(&error);
                    choices = None;
                }
                None => choices = None,
            }
        }
        Some((events.next()?, (events, choices)))
    });
    event_stream(events.boxed())
}
