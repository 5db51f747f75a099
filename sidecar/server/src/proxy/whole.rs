//! An answer in one piece under an enforcing policy.

use super::choice::Need;
use super::forward::stalled;
use super::guarded::Guard;
use super::path::Api;
use super::payload;
use super::request::Asked;
use super::scorer::Scorer;
use crate::http::{ApiError, Broken, Patience, Received, collect};
use crate::telemetry::metrics::Outcome;
use axum::Json;
use axum::body::{Body, Bytes};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use personaguard_guard::{Fault, Stop};
use serde_json::{Map, Value, json};
use std::time::Duration;

/// Longest body that is read as a whole.
const MAX_BODY: usize = 16 << 20;

pub(super) async fn response(mut guard: Guard, response: Response) -> Response {
    let (mut parts, body) = response.into_parts();
    let bytes = match collect(body, MAX_BODY, Patience::Piece(guard.silence)).await {
        Ok(Received::Whole(bytes)) => bytes,
        Ok(received @ Received::TooLong(..)) => {
            guard.transcript.fail(Fault::TooLong);
            if guard.transcript.stop().is_some() {
                return refused(guard);
            }
            guard.transcript.close(None);
            return Response::from_parts(parts, received.into_body());
        }
        Err(broken) => {
            guard.transcript.close(Some(Outcome::Error));
            return upstream_error(broken, guard.silence).into_response();
        }
    };
    let payload = serde_json::from_slice::<Value>(&bytes).ok();
    let needs = payload.as_ref().and_then(|payload| guard.transcript.take(payload).ok());
    if needs.is_none() {
        guard.transcript.fail(Fault::NotUnderstood);
    }
    guard.transcript.complete();
    while guard.scorer.step(&mut guard.transcript, true).await {}
    if guard.transcript.stop() == Some(Stop::Unscorable) {
        return refused(guard);
    }
    let body = match payload {
        Some(mut payload) if guard.transcript.stop().is_some() => {
            cut(&guard, &mut payload, &needs.unwrap_or_default());
            parts.headers.remove(header::CONTENT_LENGTH);
            Bytes::from(payload.to_string())
        }
        _ => bytes,
    };
    guard.transcript.left(0);
    guard.transcript.close(None);
    Response::from_parts(parts, Body::from(body))
}

fn refused(mut guard: Guard) -> Response {
    guard.transcript.close(None);
    ApiError::unscorable().into_response()
}

/// Takes out what choices that are cut say, but for the sentences before the one that breached.
fn cut(guard: &Guard, payload: &mut Value, needs: &[(usize, Need)]) {
    let Some(choices) = payload.get_mut("choices").and_then(Value::as_array_mut) else { return };
    let mut needs = needs.iter();
    for choice in choices {
        let said = needs.next();
        let index = said.map_or(0, |said| said.0);
        if said.is_some() && guard.transcript.is_whole(index) {
            continue;
        }
        let text = guard.transcript.redaction(index).unwrap_or_default();
        let kept = said.map_or(0, |&(index, need)| guard.transcript.kept(index, need));
        if kept > 0 && payload::shorten(choice, kept, &text) {
            choice["finish_reason"] = json!("content_filter");
        } else {
            *choice = blank(guard.api, index, &text);
        }
    }
}

/// A choice of which nothing may leave, with what stands in its place.
fn blank(api: Api, index: usize, text: &str) -> Value {
    match api {
        Api::Text => {
            json!({ "index": index, "text": text, "logprobs": null, "finish_reason": "content_filter" })
        }
        _ => json!({
            "index": index,
            "message": { "role": "assistant", "content": text, "refusal": null },
            "logprobs": null,
            "finish_reason": "content_filter"
        }),
    }
}

/// The answer to a prompt that is past a threshold by itself: the upstream server is not asked.
pub(super) fn blocked(api: Api, asked: &Asked, scorer: &Scorer, text: &str) -> Response {
    let expected = scorer.prompts.len() * asked.n;
    let mut body = Map::new();
    body.insert("id".to_owned(), json!(format!("chatcmpl-{}", uuid::Uuid::new_v4().simple())));
    body.insert("created".to_owned(), json!(jiff::Timestamp::now().as_second()));
    body.insert("model".to_owned(), json!(asked.model.as_deref().unwrap_or(&scorer.serving.name)));
    let (object, chunk) = match api {
        Api::Text => ("text_completion", "text_completion"),
        _ => ("chat.completion", "chat.completion.chunk"),
    };
    if !asked.stream {
        let tokens: usize = scorer.prompts.iter().map(Vec::len).sum();
        body.insert("object".to_owned(), json!(object));
        body.insert(
            "choices".to_owned(),
            (0..expected).map(|index| blank(api, index, text)).collect(),
        );
        body.insert(
            "usage".to_owned(),
            json!({ "prompt_tokens": tokens, "completion_tokens": 0, "total_tokens": tokens }),
        );
        return Json(body).into_response();
    }
    body.insert("object".to_owned(), json!(chunk));
    let delta = |mut choice: Value| {
        if let Some(message) = choice.as_object_mut().and_then(|choice| choice.remove("message")) {
            choice["delta"] = message;
        }
        choice
    };
    body.insert(
        "choices".to_owned(),
        (0..expected).map(|index| delta(blank(api, index, text))).collect(),
    );
    let text = format!("data: {}\n\ndata: [DONE]\n\n", Value::Object(body));
    ([(header::CONTENT_TYPE, "text/event-stream; charset=utf-8")], text).into_response()
}

fn upstream_error(broken: Broken, silence: Duration) -> ApiError {
    match broken {
        Broken::EndedEarly => ApiError::gateway(
            StatusCode::BAD_GATEWAY,
            "upstream_broke_off",
            "The model server broke off its answer.",
        ),
        Broken::TimedOut => stalled(silence),
    }
}
