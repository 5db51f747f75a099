//! An answer in one piece under an enforcing policy.

use super::choice::{Need, Verdict};
use super::forward::stalled;
use super::guarded::Guard;
use super::path::Api;
use super::request::Asked;
use super::scorer::Scorer;
use crate::guard::{Fault, Stop};
use crate::serve::ApiError;
use crate::telemetry::metrics::Outcome;
use axum::Json;
use axum::body::{Body, BodyDataStream, Bytes};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::{StreamExt as _, stream};
use serde_json::{Map, Value, json};
use std::time::Duration;

/// Longest body that is read as a whole.
const MAX_BODY: usize = 16 << 20;

pub(super) async fn response(mut guard: Guard, response: Response) -> Response {
    let (mut parts, body) = response.into_parts();
    let mut chunks = body.into_data_stream();
    let bytes = match read(&mut chunks, guard.silence).await {
        Ok(Read::Whole(bytes)) => bytes,
        Ok(Read::Long(bytes)) => {
            guard.transcript.fail(Fault::TooLong);
            if guard.transcript.stop().is_some() {
                return refused(guard);
            }
            guard.transcript.close(None);
            return Response::from_parts(parts, Body::from_stream(stream::iter([Ok(bytes)]).chain(chunks)));
        }
        Err(error) => {
            guard.transcript.close(Some(Outcome::Error));
            return error.into_response();
        }
    };
    let payload = serde_json::from_slice::<Value>(&bytes).ok();
    if payload.as_ref().is_none_or(|payload| guard.transcript.take(payload).is_err()) {
        guard.transcript.fail(Fault::NotUnderstood);
    }
    guard.transcript.complete();
    while guard.scorer.step(&mut guard.transcript, true).await {}
    if guard.transcript.stop() == Some(Stop::Unscorable) {
        return refused(guard);
    }
    let body = match payload {
        Some(mut payload) if guard.transcript.stop().is_some() => {
            cut(&guard, &mut payload);
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

/// Takes out what choices that are cut say.
fn cut(guard: &Guard, payload: &mut Value) {
    let Some(choices) = payload.get_mut("choices").and_then(Value::as_array_mut) else { return };
    for choice in choices {
        let index = choice.get("index").and_then(Value::as_u64).unwrap_or(0);
        let index = usize::try_from(index).unwrap_or(usize::MAX);
        if guard.transcript.verdict(index, Need::End) != Verdict::Leave {
            *choice = blank(guard.api, index);
        }
    }
}

/// A choice of which nothing may leave.
fn blank(api: Api, index: usize) -> Value {
    match api {
        Api::Text => json!({ "index": index, "text": "", "logprobs": null, "finish_reason": "content_filter" }),
        _ => json!({
            "index": index,
            "message": { "role": "assistant", "content": "", "refusal": null },
            "logprobs": null,
            "finish_reason": "content_filter"
        }),
    }
}

/// The answer to a prompt that is past a threshold by itself: the upstream server is not asked.
pub(super) fn blocked(api: Api, asked: &Asked, scorer: &Scorer) -> Response {
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
        body.insert("choices".to_owned(), (0..expected).map(|index| blank(api, index)).collect());
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
    body.insert("choices".to_owned(), (0..expected).map(|index| delta(blank(api, index))).collect());
    let text = format!("data: {}\n\ndata: [DONE]\n\n", Value::Object(body));
    ([(header::CONTENT_TYPE, "text/event-stream; charset=utf-8")], text).into_response()
}

enum Read {
    Whole(Bytes),
    /// As far as it was read.
    Long(Bytes),
}

async fn read(chunks: &mut BodyDataStream, silence: Duration) -> Result<Read, ApiError> {
    let mut bytes = Vec::new();
    loop {
        match tokio::time::timeout(silence, chunks.next()).await {
            Ok(None) => return Ok(Read::Whole(bytes.into())),
            Ok(Some(Ok(chunk))) => {
                bytes.extend_from_slice(&chunk);
                if bytes.len() > MAX_BODY {
                    return Ok(Read::Long(bytes.into()));
                }
            }
            Ok(Some(Err(_))) => {
                let message = "The model server broke off its answer.";
                return Err(ApiError::gateway(StatusCode::BAD_GATEWAY, "upstream_broke_off", message));
            }
            Err(_) => return Err(stalled(silence)),
        }
    }
}
