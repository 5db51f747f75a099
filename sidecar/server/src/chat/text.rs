//! `POST /v1/completions`.

use super::call::Part;
use super::choices::Choices;
use super::guarded::{End, Output};
use super::request::ChatRequest;
use super::response_head::ResponseHead;
use super::start::{Incoming, Started};
use crate::http::{ApiError, event_stream};
use crate::openai::{FinishReason, Object, TextChoice, Usage};
use axum::Json;
use axum::response::sse::Event;
use axum::response::{IntoResponse, Response};
use futures::{StreamExt as _, stream};

/// Goes on with a text.
pub(super) async fn completions(incoming: Incoming) -> Response {
    let answer = async |incoming: Incoming| {
        let started = incoming.start("cmpl-", ChatRequest::parse_text).await?;
        if started.is_stream { Ok(streamed(started)) } else { whole(started).await }
    };
    incoming.answer(answer).await
}

/// What a choice says next; nothing where that is no text.
fn text(part: Part) -> String {
    match part {
        Part::Text(piece) => piece.text,
        // No functions are offered here, and nothing is told apart.
        Part::Call(_) | Part::Thought(_) => String::new(),
    }
}

async fn whole(started: Started) -> Result<Response, ApiError> {
    let Started { head, mut choices, .. } = started;
    let mut said = vec![(String::new(), None); choices.count()];
    let (mut usage, mut scores) = (Usage::default(), None);
    while let Some((index, output)) = choices.next().await {
        match output? {
            Output::Part(part) => said[index].0.push_str(&text(part)),
            Output::End(End { finish_reason, usage: own, scores: own_scores, .. }) => {
                usage = usage.with_choice(own);
                said[index].1 = Some(finish_reason);
                scores = head.place(own_scores).beside;
            }
        }
    }
    let choices = said.iter().enumerate();
    let choices = choices.map(|(index, (text, reason))| choice(index, text, *reason)).collect();
    Ok(Json(head.body(Object::Text, choices, Some(Some(usage)), scores)).into_response())
}

fn choice(index: usize, text: &str, finish_reason: Option<FinishReason>) -> TextChoice<'_> {
    TextChoice { index, text, logprobs: (), finish_reason }
}

/// What a stream has still to say.
enum Phase {
    Writing(Choices),
    /// The usage was told.
    Counted,
    Over,
}

fn streamed(started: Started) -> Response {
    let Started { head, choices, include_usage, .. } = started;
    let first = (head, Phase::Writing(choices), Usage::default());
    let events = stream::unfold(first, move |(head, state, usage)| async move {
        let (event, state, usage) = next(&head, state, usage, include_usage).await?;
        Some((event, (head, state, usage)))
    });
    event_stream(events.boxed())
}

type Next = (Result<Event, axum::Error>, Phase, Usage);

async fn next(
    head: &ResponseHead,
    state: Phase,
    usage: Usage,
    include_usage: bool,
) -> Option<Next> {
    let chunk = |choices: Vec<TextChoice<'_>>, total: Option<Usage>, scores| {
        let shown = include_usage.then_some(total);
        Event::default().json_data(head.body(Object::Text, choices, shown, scores))
    };
    let done = |usage| (Ok(Event::default().data("[DONE]")), Phase::Over, usage);
    match state {
        Phase::Writing(mut choices) => match choices.next().await {
            Some((index, Ok(Output::Part(part)))) => {
                let text = text(part);
                let event = chunk(vec![choice(index, &text, None)], None, None);
                Some((event, Phase::Writing(choices), usage))
            }
            Some((index, Ok(Output::End(End { finish_reason, usage: own, scores, .. })))) => {
                let last = vec![choice(index, "", Some(finish_reason))];
                let event = chunk(last, None, head.place(scores).beside);
                Some((event, Phase::Writing(choices), usage.with_choice(own)))
            }
            // No `[DONE]` follows: the client must not take the choices for complete.
            Some((_, Err(error))) => {
                Some((Event::default().json_data(&error.body), Phase::Over, usage))
            }
            None if include_usage => {
                Some((chunk(Vec::new(), Some(usage), None), Phase::Counted, usage))
            }
            None => Some(done(usage)),
        },
        Phase::Counted => Some(done(usage)),
        Phase::Over => None,
    }
}
