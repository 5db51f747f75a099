//! `POST /v1/chat/completions`.

use super::answer::Next;
use super::begin::{Asked, begin};
use super::body;
use super::choices::Choices;
use super::error::ApiError;
use super::request::ChatRequest;
use super::response::{Head, Usage, Whole, completion};
use super::router::Shared;
use super::sse;
use crate::host::{Host, ModelState, Serving};
use crate::telemetry::metrics::Outcome;
use crate::telemetry::traces::chat_span;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use personaguard_guard::{Beyond, Decision, Demands};
use personaguard_persona::sha256_hex;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

/// Answers a chat.
pub(super) async fn completions(
    State(shared): State<Shared>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let host = Arc::clone(&shared.host);
    match answer(shared, headers, body).await {
        Ok(response) => response,
        Err(error) => {
            host.metrics.response(Outcome::Rejected, Duration::ZERO);
            tracing::info!(status = error.status.as_u16(), code = error.code(), "request refused");
            error.into_response()
        }
    }
}

/// Why nothing is served yet.
pub(crate) fn not_ready(host: &Host) -> ApiError {
    let state = host.state();
    match &state.model {
        ModelState::Failed(failure) => ApiError::unavailable(
            "model_failed",
            format!("The model cannot be served ({}): {}", failure.reason, failure.message),
        ),
        _ => ApiError::unavailable(
            "model_not_ready",
            "The model is being loaded. Try again shortly.",
        ),
    }
}

async fn answer(shared: Shared, headers: HeaderMap, body: Body) -> Result<Response, ApiError> {
    let Shared { host, limits, .. } = shared;
    let body = body::read(&headers, body, limits).await?;
    let request = ChatRequest::parse(&body)?;
    drop(body);
    let serving = host.serving().ok_or_else(|| not_ready(&host))?;
    if request.model != serving.name {
        return Err(ApiError::model_not_found(&request.model, &serving.name));
    }
    let decision =
        decide(&host, &serving, &request.demands)?.under(system_prompt(&request.messages));
    if decision.stop().is_some() {
        return Err(ApiError::unscorable());
    }
    let head = Head {
        id: format!("chatcmpl-{}", uuid::Uuid::new_v4().simple()),
        created: jiff::Timestamp::now().as_second(),
        model: serving.name.clone(),
        fingerprint: format!("fp_{}", serving.digest.short()),
        choices: request.n,
    };
    let span = chat_span(&serving.name, &headers);
    let (stream, include_usage) = (request.stream, request.include_usage);
    let asked = Asked { host, serving, request, decision, span, id: head.id.clone() };
    let choices = Choices::new(begin(asked).await?);
    Ok(if stream {
        sse::response(head, choices, include_usage)
    } else {
        whole(&head, choices).await
    })
}

/// The response's state machine, under the policies that look at it and what the request asks for
/// beyond them.
pub(crate) fn decide(
    host: &Host,
    serving: &Serving,
    demands: &Demands,
) -> Result<Decision, ApiError> {
    let mut plan = Arc::clone(&serving.plan);
    if !demands.is_empty() {
        let demanded = plan.with(demands);
        host.metrics.request_control(demanded.is_ok());
        plan = Arc::new(demanded.map_err(|beyond| match beyond {
            Beyond::Unknown(_) => {
                ApiError::invalid("personaguard.traits", "invalid_value", beyond.to_string())
            }
            _ => ApiError::beyond(beyond.to_string()),
        })?);
    }
    let level = serving.back_off.level();
    if level > 0 && !plan.steering.is_empty() {
        plan = Arc::new(plan.held_back(level));
    }
    let sampled = serving.draw.next(&plan);
    let rests = !sampled.is_empty() && !sampled.contains(&true);
    Ok(Decision::sampled(if rests { Arc::clone(&serving.resting) } else { plan }, sampled))
}

/// What a system prompt is known by in statistics: the first digits of its SHA-256, as
/// `personaguard calibrate` shows it, or `none`.
pub(crate) fn system_prompt(messages: &[Value]) -> Arc<str> {
    let texts = messages.iter().filter(|message| message["role"] == "system");
    let texts: Vec<_> = texts.filter_map(|message| message["content"].as_str()).collect();
    let text = texts.join("\n");
    if text.is_empty() { "none".into() } else { sha256_hex(text.as_bytes())[..12].into() }
}

/// All choices, once the last has ended. What fails one of them fails the response.
async fn whole(head: &Head, mut choices: Choices) -> Response {
    let mut said = vec![Whole::new(choices.with_logprobs()); choices.count()];
    let mut usage = Usage::default();
    while let Some((index, next)) = choices.next().await {
        match next {
            Ok(Next::Part(part)) => said[index].add(part),
            Ok(Next::End { finish_reason, usage: own, scores }) => {
                usage = usage.beside(own);
                said[index].end(finish_reason, scores);
            }
            Err(error) => return error.into_response(),
        }
    }
    ([(header::CONTENT_TYPE, "application/json")], completion(head, said, usage)).into_response()
}
