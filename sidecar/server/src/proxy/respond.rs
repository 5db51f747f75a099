//! Asks the upstream server, and chooses how its response passes.

use super::exchange::GuardedExchange;
use super::forward::Forwarder;
use super::{early, observed, stream, upstream_error, whole};
use crate::http::{ApiError, KEEP_ALIVE, is_encoded};
use axum::extract::Request;
use axum::http::header;
use axum::response::Response;
use personaguard_guard::{Stop, UnscoredReason};
use std::pin::pin;

pub(super) async fn respond(
    forwarder: &Forwarder,
    exchange: GuardedExchange,
    request: Request,
) -> Result<Response, ApiError> {
    if !exchange.transcript.plan().holds_back() {
        return finish(exchange, forwarder.send(request).await).await;
    }
    if !exchange.is_stream {
        return whole(forwarder, exchange, request).await;
    }
    let forwarder = forwarder.clone();
    let answer = async move { finish(exchange, forwarder.send(request).await).await };
    soon(answer).await
}

/// A stream, which begins before the upstream server has answered where that takes a while: it
/// reads the prompt.
pub(super) async fn soon(
    answer: impl Future<Output = Result<Response, ApiError>> + Send + 'static,
) -> Result<Response, ApiError> {
    let mut answer = Box::pin(answer);
    match tokio::time::timeout(KEEP_ALIVE, &mut answer).await {
        Ok(answer) => answer,
        Err(_) => Ok(early::response(answer)),
    }
}

/// A response that comes when all of it is written: where it is scored meanwhile, a policy may stop
/// it before.
async fn whole(
    forwarder: &Forwarder,
    mut exchange: GuardedExchange,
    request: Request,
) -> Result<Response, ApiError> {
    match answered(forwarder, &mut exchange, request).await {
        Some(answer) => finish(exchange, answer).await,
        None => whole::stopped(exchange).await,
    }
}

/// The answer of the upstream server; none where a policy has stopped it before.
pub(super) async fn answered(
    forwarder: &Forwarder,
    exchange: &mut GuardedExchange,
    request: Request,
) -> Option<Result<Response, ApiError>> {
    let mut answer = pin!(forwarder.send(request));
    loop {
        tokio::select! {
            answer = &mut answer => return Some(answer),
            () = exchange.scorer.woken() => {}
        }
        while exchange.scorer.step(&mut exchange.transcript, false).await {}
        // What was redacted keeps its beginning, which is still to come.
        if matches!(exchange.transcript.stop(), Some(Stop::Blocked | Stop::Unscorable)) {
            return None;
        }
    }
}

/// The response to a request that the upstream server has answered so.
pub(super) async fn finish(
    mut exchange: GuardedExchange,
    answer: Result<Response, ApiError>,
) -> Result<Response, ApiError> {
    let holds = exchange.transcript.plan().holds_back();
    let response = match answer {
        Ok(response) if response.status().is_success() => response,
        other => {
            exchange.transcript.forget();
            let response = other?;
            return Ok(match holds {
                true => upstream_error::response(exchange, response).await,
                false => response,
            });
        }
    };
    Ok(match (form(&response), holds) {
        (None, _) => return unreadable(exchange, response),
        (Some(Form::Events), true) => stream::response(exchange, response),
        (Some(Form::Body), true) => whole::response(exchange, response).await,
        (Some(form), false) => observed::response(exchange, response, form == Form::Events),
    })
}

/// How a response is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Events,
    Body,
}

/// How a response is written; none where it cannot be read.
pub(super) fn form(response: &Response) -> Option<Form> {
    let kind = response.headers().get(header::CONTENT_TYPE);
    let kind = kind.and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = kind.trim_start().to_ascii_lowercase();
    let is_lines = ["ndjson", "jsonl", "json-seq"].iter().any(|lines| kind.contains(lines));
    if is_encoded(response.headers()) || is_lines {
        None
    } else if kind.starts_with("text/event-stream") {
        Some(Form::Events)
    } else {
        kind.contains("json").then_some(Form::Body)
    }
}

fn unreadable(mut exchange: GuardedExchange, response: Response) -> Result<Response, ApiError> {
    tracing::warn!("the upstream server answers in a format that cannot be scored");
    exchange.transcript.fail(UnscoredReason::NotUnderstood);
    let is_refused = exchange.transcript.stop().is_some();
    exchange.transcript.close(None);
    if is_refused { Err(ApiError::unscorable()) } else { Ok(response) }
}
