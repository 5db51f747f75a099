//! From the body of a request to choices that are being written, for every API.

use super::choices::Choices;
use super::models;
use super::request::ChatRequest;
use super::response_head::ResponseHead;
use super::submit::{ChatJob, submit};
use crate::http::{ApiError, Limits, request_body};
use crate::runtime::{ActiveModel, AppState};
use crate::session::{decide, not_ready, system_prompt_key};
use crate::telemetry::labels::Outcome;
use crate::telemetry::traces::chat_span;
use axum::body::{Body, Bytes};
use axum::extract::{FromRef, FromRequest, Request};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

/// A request with what it takes to answer it.
pub(super) struct Incoming {
    app: Arc<AppState>,
    limits: Limits,
    headers: HeaderMap,
    body: Body,
}

/// A response that is being written.
pub(super) struct Started {
    pub(super) head: ResponseHead,
    pub(super) choices: Choices,
    pub(super) prompt_tokens: usize,
    pub(super) is_stream: bool,
    /// In a stream: whether a last chunk brings the usage.
    pub(super) include_usage: bool,
}

impl<S: Sync> FromRequest<S> for Incoming
where
    Arc<AppState>: FromRef<S>,
    Limits: FromRef<S>,
{
    type Rejection = Infallible;

    async fn from_request(request: Request, state: &S) -> Result<Self, Infallible> {
        let (parts, body) = request.into_parts();
        let (app, limits) = (FromRef::from_ref(state), FromRef::from_ref(state));
        Ok(Self { app, limits, headers: parts.headers, body })
    }
}

impl Incoming {
    /// Answers by `answer`; what is refused is counted and logged.
    pub(super) async fn answer<A: Future<Output = Result<Response, ApiError>>>(
        self,
        answer: impl FnOnce(Self) -> A,
    ) -> Response {
        self.answered(answer).await.unwrap_or_else(IntoResponse::into_response)
    }

    /// The same, for an API with errors of another shape.
    pub(super) async fn answered<A: Future<Output = Result<Response, ApiError>>>(
        self,
        answer: impl FnOnce(Self) -> A,
    ) -> Result<Response, ApiError> {
        let app = Arc::clone(&self.app);
        answer(self).await.inspect_err(|error| {
            app.metrics.responses.observe_end(Outcome::Rejected, Duration::ZERO);
            tracing::info!(status = error.status.as_u16(), code = error.code(), "request refused");
        })
    }

    /// The body, and the model that it is for.
    pub(super) async fn body(self) -> Result<(Arc<ActiveModel>, Bytes), ApiError> {
        let active = self.app.active_model().ok_or_else(|| not_ready(&self.app))?;
        let limits = self.limits.with_body_bytes(active.max_request_bytes);
        let body = request_body(&self.headers, self.body, limits).await?;
        Ok((active, body))
    }

    /// Reads the body by `parse`, and begins to write. `prefix` begins the response's id.
    pub(super) async fn start(
        self,
        prefix: &str,
        parse: fn(&[u8]) -> Result<ChatRequest, ApiError>,
    ) -> Result<Started, ApiError> {
        let Self { app, limits, headers, body } = self;
        let given = app.active_model().and_then(|active| active.max_request_bytes);
        let body = request_body(&headers, body, limits.with_body_bytes(given)).await?;
        let request = parse(&body)?;
        drop(body);
        let active = app.active_model().ok_or_else(|| not_ready(&app))?;
        models::check(&active, &request.model)?;
        let decision = decide(&app, &active, &request.overrides)?
            .with_system_prompt(system_prompt_key(&request.messages));
        if decision.stop().is_some() {
            return Err(ApiError::unscorable());
        }
        let head = ResponseHead {
            id: format!("{prefix}{}", uuid::Uuid::new_v4().simple()),
            created: jiff::Timestamp::now().as_second(),
            model: active.name.clone(),
            system_fingerprint: format!("fp_{}", active.digest.short()),
            choices: request.n,
        };
        let span = chat_span(&active.name, &headers);
        let (is_stream, include_usage) = (request.stream, request.include_usage);
        let job = ChatJob { app, active, request, decision, span, id: head.id.clone() };
        let (prompt_tokens, generations) = submit(job).await?;
        let choices = Choices::new(generations);
        Ok(Started { head, choices, prompt_tokens, is_stream, include_usage })
    }
}
