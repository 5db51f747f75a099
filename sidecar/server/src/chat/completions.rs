//! `POST /v1/chat/completions`.

use super::answer::Next;
use super::choices::Choices;
use super::request::ChatRequest;
use super::response::{Head, Whole, completion};
use super::submit::{ChatJob, submit};
use super::{Chat, stream};
use crate::http::{ApiError, request_body};
use crate::openai::Usage;
use crate::session::{decide, not_ready, system_prompt};
use crate::telemetry::metrics::Outcome;
use crate::telemetry::traces::chat_span;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use std::sync::Arc;
use std::time::Duration;

/// Answers a chat.
pub(super) async fn completions(
    State(chat): State<Chat>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let host = Arc::clone(&chat.host);
    match answer(chat, headers, body).await {
        Ok(response) => response,
        Err(error) => {
            host.metrics.response(Outcome::Rejected, Duration::ZERO);
            tracing::info!(status = error.status.as_u16(), code = error.code(), "request refused");
            error.into_response()
        }
    }
}

async fn answer(chat: Chat, headers: HeaderMap, body: Body) -> Result<Response, ApiError> {
    let Chat { host, limits } = chat;
    let body = request_body(&headers, body, limits).await?;
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
    let job = ChatJob { host, serving, request, decision, span, id: head.id.clone() };
    let choices = Choices::new(submit(job).await?);
    Ok(if stream {
        stream::response(head, choices, include_usage)
    } else {
        whole(&head, choices).await
    })
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
