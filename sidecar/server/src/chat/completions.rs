//! `POST /v1/chat/completions`.

use super::choices::Choices;
use super::request::ChatRequest;
use super::response_head::ResponseHead;
use super::submit::{ChatJob, submit};
use super::{stream, whole};
use crate::http::{ApiError, Limits, request_body};
use crate::runtime::AppState;
use crate::session::{decide, not_ready, system_prompt_key};
use crate::telemetry::labels::Outcome;
use crate::telemetry::traces::chat_span;
use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use std::sync::Arc;
use std::time::Duration;

/// Answers a chat.
pub(super) async fn completions(
    State(app): State<Arc<AppState>>,
    State(limits): State<Limits>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    match answer(&app, limits, headers, body).await {
        Ok(response) => response,
        Err(error) => {
            app.metrics.responses.observe_end(Outcome::Rejected, Duration::ZERO);
            tracing::info!(status = error.status.as_u16(), code = error.code(), "request refused");
            error.into_response()
        }
    }
}

async fn answer(
    app: &Arc<AppState>,
    limits: Limits,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let body = request_body(&headers, body, limits).await?;
    let request = ChatRequest::parse(&body)?;
    drop(body);
    let active = app.active_model().ok_or_else(|| not_ready(app))?;
    if request.model != active.name {
        return Err(ApiError::model_not_found(&request.model, &active.name));
    }
    let decision = decide(app, &active, &request.overrides)?
        .with_system_prompt(system_prompt_key(&request.messages));
    if decision.stop().is_some() {
        return Err(ApiError::unscorable());
    }
    let head = ResponseHead {
        id: format!("chatcmpl-{}", uuid::Uuid::new_v4().simple()),
        created: jiff::Timestamp::now().as_second(),
        model: active.name.clone(),
        system_fingerprint: format!("fp_{}", active.digest.short()),
        choices: request.n,
    };
    let span = chat_span(&active.name, &headers);
    let (is_stream, include_usage) = (request.stream, request.include_usage);
    let app = Arc::clone(app);
    let job = ChatJob { app, active, request, decision, span, id: head.id.clone() };
    let choices = Choices::new(submit(job).await?);
    Ok(if is_stream {
        stream::response(head, choices, include_usage)
    } else {
        whole::response(&head, choices).await
    })
}
