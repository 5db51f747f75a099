//! `POST /v1/messages`: a chat by Anthropic's API. Nothing is kept.

mod body;
mod error;
mod events;

use super::call::Part;
use super::guarded::Output;
use super::models;
use super::named_events::streamed;
use super::prompt;
use super::request::ChatRequest;
use super::start::{Incoming, Started};
use crate::http::ApiError;
use axum::Json;
use axum::response::{IntoResponse as _, Response};
use body::{TextBlock, message, tool_use};
use events::Events;
use serde_json::json;

/// Answers a request.
pub(super) async fn messages(incoming: Incoming) -> Response {
    let answer = async |incoming: Incoming| {
        let started = incoming.start("msg_", ChatRequest::parse_messages).await?;
        if started.is_stream {
            let Started { head, choices, prompt_tokens, .. } = started;
            Ok(streamed(Events::new(&head, prompt_tokens), choices))
        } else {
            whole(started).await
        }
    };
    incoming.answered(answer).await.unwrap_or_else(error::response)
}

/// Counts the tokens of a prompt.
pub(super) async fn count_tokens(incoming: Incoming) -> Response {
    let count = async {
        let (active, body) = incoming.body().await?;
        let request = ChatRequest::parse_messages(&body)?;
        models::check(&active, &request.model)?;
        let tokens = prompt::tokens(active.engine.model(), &request).await?;
        Ok(Json(json!({ "input_tokens": tokens.len() })).into_response())
    };
    count.await.unwrap_or_else(error::response)
}

async fn whole(started: Started) -> Result<Response, ApiError> {
    let Started { head, mut choices, .. } = started;
    let (mut content, mut text) = (Vec::new(), None::<(TextBlock, String)>);
    let mut end = None;
    while let Some((_, output)) = choices.next().await {
        let (block, piece) = match output? {
            Output::Part(Part::Thought(piece)) => (TextBlock::Thinking, piece),
            Output::Part(Part::Text(piece)) => (TextBlock::Text, piece.text),
            Output::Part(Part::Call(called)) => {
                content.extend(text.take().map(|(block, text)| block.block(&text)));
                content.push(tool_use(&called.into_body()));
                continue;
            }
            Output::End(ended) => {
                end = Some(ended);
                continue;
            }
        };
        match &mut text {
            Some((begun, text)) if *begun == block => text.push_str(&piece),
            _ if piece.is_empty() => {}
            _ => {
                let before = text.replace((block, piece));
                content.extend(before.map(|(block, text)| block.block(&text)));
            }
        }
    }
    content.extend(text.map(|(block, text)| block.block(&text)));
    let usage = end.as_ref().map(|end| end.usage).unwrap_or_default();
    Ok(Json(message(&head, &content, end.as_ref(), usage)).into_response())
}
