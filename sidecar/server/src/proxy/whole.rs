//! A response in one piece under an enforcing policy.

use super::answer::{Naming, Part, Unreadable};
use super::choice::TextSpan;
use super::ending::{cut_whole, whole};
use super::exchange::GuardedExchange;
use super::forward::stalled;
use super::headers::{allowed, set_type};
use super::request::ProxiedRequest;
use super::scorer::PassScorer;
use super::stream::events;
use super::transcript::Transcript;
use crate::http::{ApiError, Broken, Patience, Received, collect};
use crate::openai::answered;
use crate::telemetry::labels::Outcome;
use axum::body::{Body, Bytes};
use axum::http::StatusCode;
use axum::http::response::Parts;
use axum::response::{IntoResponse, Response};
use personaguard_guard::{Stop, UnscoredReason};
use serde_json::Value;
use std::time::Duration;

/// Longest body that is read as a whole.
const MAX_BODY: usize = 16 << 20;

pub(super) async fn response(mut exchange: GuardedExchange, response: Response) -> Response {
    let read = read(&mut exchange, response).await;
    respond(exchange, read).await
}

/// A response, as far as it was read and scored.
#[derive(Debug)]
pub(super) enum Read {
    All {
        parts: Parts,
        bytes: Bytes,
        payload: Value,
        /// The texts in it, where they could be told.
        spans: Result<Vec<(usize, TextSpan)>, Unreadable>,
    },
    TooLong(Parts, Received),
    Broken(Broken),
}

/// Reads a response and scores all of it.
pub(super) async fn read(exchange: &mut GuardedExchange, response: Response) -> Read {
    let (parts, body) = response.into_parts();
    let patience = Patience::Piece(exchange.silence);
    let bytes = match collect(body, MAX_BODY, patience, exchange.bodies).await {
        Ok(Received::Whole(bytes)) => bytes,
        Ok(received @ Received::TooLong(..)) => {
            exchange.transcript.fail(UnscoredReason::TooLong);
            return Read::TooLong(parts, received);
        }
        Err(broken) => return Read::Broken(broken),
    };
    let mut payload = answered(&bytes).unwrap_or_default();
    let spans = exchange.transcript.take(&exchange.naming, Part::Whole, &mut payload);
    if spans.is_err() {
        exchange.transcript.fail(UnscoredReason::NotUnderstood);
    }
    exchange.transcript.complete();
    exchange.scorer.finish(&mut exchange.transcript).await;
    Read::All { parts, bytes, payload, spans }
}

/// What the client gets of it.
pub(super) async fn respond(mut exchange: GuardedExchange, read: Read) -> Response {
    let is_refused = exchange.transcript.stop() == Some(Stop::Unscorable);
    let response = match read {
        Read::Broken(broken) => {
            exchange.transcript.close(Some(Outcome::Error));
            return upstream_error(broken, exchange.silence).into_response();
        }
        Read::TooLong(..) if exchange.transcript.stop().is_some() => return refused(exchange),
        Read::TooLong(parts, received) => {
            exchange.transcript.close(None);
            return Response::from_parts(parts, received.into_body());
        }
        Read::All { .. } if is_refused => return refused(exchange),
        Read::All { parts, mut payload, spans: Ok(spans), .. } => {
            cut(&exchange.transcript, &exchange.naming, &mut payload, &spans);
            let mut response = Response::new(Body::from(payload.to_string()));
            *response.status_mut() = parts.status;
            *response.headers_mut() = allowed(&parts.headers, &exchange.asked);
            set_type(response.headers_mut(), "application/json");
            response
        }
        // The policies let pass what cannot be read, as it is.
        Read::All { parts, bytes, .. } => Response::from_parts(parts, Body::from(bytes)),
    };
    exchange.transcript.left(0);
    exchange.transcript.close(None);
    match exchange.transcript.settled().await {
        true => response,
        false => ApiError::unrecorded().into_response(),
    }
}

/// The response that a policy has stopped before it came.
pub(super) async fn stopped(mut exchange: GuardedExchange) -> Result<Response, ApiError> {
    exchange.transcript.close(None);
    if exchange.transcript.stop() == Some(Stop::Unscorable) {
        return Err(ApiError::unscorable());
    }
    if !exchange.transcript.settled().await {
        return Err(ApiError::unrecorded());
    }
    let text = exchange.transcript.redaction(0).unwrap_or_default();
    let prompt_tokens = exchange.scorer.prompt_tokens();
    let body = whole(&exchange.naming, exchange.expected, &text, prompt_tokens);
    Ok(axum::Json(body).into_response())
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
pub(super) fn cut(
    transcript: &Transcript,
    naming: &Naming,
    payload: &mut Value,
    spans: &[(usize, TextSpan)],
) {
    for (at, &(index, span)) in spans.iter().enumerate() {
        if !transcript.is_whole(index) {
            let text = transcript.redaction(index).unwrap_or_default();
            let keep = span.skip + transcript.kept(index, span);
            cut_whole(naming.api, payload, at, keep, &text);
        }
    }
}

/// The response to a prompt that is past a threshold by itself: the upstream server is not asked.
pub(super) fn blocked(
    naming: Naming,
    request: &ProxiedRequest,
    scorer: &PassScorer,
    text: Option<&str>,
) -> Response {
    let choices = scorer.prompts.len() * request.n;
    if request.stream {
        return events(naming, choices, text);
    }
    let prompt_tokens = scorer.prompt_tokens();
    let body = whole(&naming, choices, text.unwrap_or_default(), prompt_tokens);
    axum::Json(body).into_response()
}
