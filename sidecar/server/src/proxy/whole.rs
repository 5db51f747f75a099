//! A response in one piece under an enforcing policy.

use super::choice::TextSpan;
use super::exchange::GuardedExchange;
use super::filtered::FilteredChoice;
use super::forward::stalled;
use super::path::Api;
use super::payload;
use super::request::ProxiedRequest;
use super::scorer::Scorer;
use crate::http::{ApiError, Broken, Patience, Received, collect, event_stream};
use crate::openai::{CompletionBody, FinishReason, Object, Usage};
use crate::telemetry::labels::Outcome;
use axum::Json;
use axum::body::{Body, Bytes};
use axum::http::{StatusCode, header};
use axum::response::sse::Event;
use axum::response::{IntoResponse, Response};
use futures::stream;
use personaguard_guard::{Stop, UnscoredReason};
use serde_json::{Value, json};
use std::time::Duration;

/// Longest body that is read as a whole.
const MAX_BODY: usize = 16 << 20;

pub(super) async fn response(mut exchange: GuardedExchange, response: Response) -> Response {
    let (mut parts, body) = response.into_parts();
    let patience = Patience::Piece(exchange.silence);
    let bytes = match collect(body, MAX_BODY, patience, exchange.bodies).await {
        Ok(Received::Whole(bytes)) => bytes,
        Ok(received @ Received::TooLong(..)) => {
            exchange.transcript.fail(UnscoredReason::TooLong);
            if exchange.transcript.stop().is_some() {
                return refused(exchange);
            }
            exchange.transcript.close(None);
            return Response::from_parts(parts, received.into_body());
        }
        Err(broken) => {
            exchange.transcript.close(Some(Outcome::Error));
            return upstream_error(broken, exchange.silence).into_response();
        }
    };
    let payload = serde_json::from_slice::<Value>(&bytes).ok();
    let spans = payload.as_ref().and_then(|payload| exchange.transcript.take(payload).ok());
    if spans.is_none() {
        exchange.transcript.fail(UnscoredReason::NotUnderstood);
    }
    exchange.transcript.complete();
    while exchange.scorer.step(&mut exchange.transcript, true).await {}
    if exchange.transcript.stop() == Some(Stop::Unscorable) {
        return refused(exchange);
    }
    let body = match payload {
        Some(mut payload) if exchange.transcript.stop().is_some() => {
            cut(&exchange, &mut payload, &spans.unwrap_or_default());
            parts.headers.remove(header::CONTENT_LENGTH);
            Bytes::from(payload.to_string())
        }
        _ => bytes,
    };
    exchange.transcript.left(0);
    exchange.transcript.close(None);
    Response::from_parts(parts, Body::from(body))
}

fn refused(mut exchange: GuardedExchange) -> Response {
    exchange.transcript.close(None);
    ApiError::unscorable().into_response()
}

fn upstream_error(broken: Broken, silence: Duration) -> ApiError {
    match broken {
        Broken::EndedEarly => ApiError::gateway(
            StatusCode::BAD_GATEWAY,
            "upstream_broke_off",
            "The model server broke off its answer.",
        ),
        Broken::TimedOut => stalled(silence),
        Broken::NoRoom => ApiError::unavailable(
            "too_many_bodies",
            "Too many answers are on their way at once. Try again.",
        ),
    }
}

/// Takes out what stopped choices say, except for the sentences before the one that breached.
fn cut(exchange: &GuardedExchange, payload: &mut Value, spans: &[(usize, TextSpan)]) {
    let GuardedExchange { transcript, api, .. } = exchange;
    let Some(choices) = payload.get_mut("choices").and_then(Value::as_array_mut) else { return };
    let mut spans = spans.iter();
    for choice in choices {
        let span = spans.next();
        let index = span.map_or(0, |(index, _)| *index);
        if span.is_some() && transcript.is_whole(index) {
            continue;
        }
        let text = transcript.redaction(index).unwrap_or_default();
        let kept = span.map_or(0, |&(index, span)| transcript.kept(index, span));
        if kept > 0 && payload::shorten(choice, kept, &text) {
            choice["finish_reason"] = json!(FinishReason::ContentFilter);
        } else {
            *choice = json!(FilteredChoice::whole(*api, index, &text));
        }
    }
}

/// The response to a prompt that is past a threshold by itself: the upstream server is not asked.
pub(super) fn blocked(api: Api, request: &ProxiedRequest, scorer: &Scorer, text: &str) -> Response {
    let choices = 0..scorer.prompts.len() * request.n;
    let mut body = CompletionBody {
        id: &format!("chatcmpl-{}", uuid::Uuid::new_v4().simple()),
        object: match (api, request.stream) {
            (Api::Text, _) => Object::Text,
            (_, false) => Object::Chat,
            (_, true) => Object::ChatChunk,
        },
        created: jiff::Timestamp::now().as_second(),
        model: request.model.as_deref().unwrap_or(&scorer.active.name),
        system_fingerprint: None,
        choices: Vec::new(),
        usage: None,
        personaguard: None,
    };
    if request.stream {
        body.choices = choices.map(|index| FilteredChoice::only_chunk(api, index, text)).collect();
        let chunk = Event::default().json_data(body);
        event_stream(stream::iter([chunk, Ok(Event::default().data("[DONE]"))]))
    } else {
        body.choices = choices.map(|index| FilteredChoice::whole(api, index, text)).collect();
        let prompt_tokens = scorer.prompts.iter().map(Vec::len).sum();
        body.usage = Some(Some(Usage::new(prompt_tokens, 0)));
        Json(body).into_response()
    }
}
