//! Errors in the shape of OpenAI's API: `{"error": {"message", "type", "param", "code"}}`.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use std::time::Duration;

/// An error as a client sees it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ApiError {
    pub(crate) status: StatusCode,
    pub(crate) body: ErrorBody,
    retry_after: Option<Duration>,
}

/// `{"error": …}`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct ErrorBody {
    error: ErrorObject,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
struct ErrorObject {
    message: String,
    r#type: &'static str,
    param: Option<String>,
    code: Option<&'static str>,
}

impl ApiError {
    fn new(
        status: StatusCode,
        r#type: &'static str,
        code: &'static str,
        message: impl Into<String>,
    ) -> Self {
        let error = ErrorObject { message: message.into(), r#type, param: None, code: Some(code) };
        Self { status, body: ErrorBody { error }, retry_after: None }
    }

    /// A field of the request has the wrong type or value.
    pub(crate) fn invalid(
        param: impl Into<String>,
        code: &'static str,
        message: impl Into<String>,
    ) -> Self {
        let mut error = Self::new(StatusCode::BAD_REQUEST, "invalid_request_error", code, message);
        error.body.error.param = Some(param.into());
        error
    }

    /// The request as a whole is wrong.
    pub(crate) fn request(
        status: StatusCode,
        code: &'static str,
        message: impl Into<String>,
    ) -> Self {
        Self::new(status, "invalid_request_error", code, message)
    }

    /// No such model.
    pub(crate) fn model_not_found(asked: &str, served: &str) -> Self {
        let message =
            format!("The model `{asked}` does not exist here. This server has `{served}`.");
        let mut error =
            Self::new(StatusCode::NOT_FOUND, "invalid_request_error", "model_not_found", message);
        error.body.error.param = Some("model".to_owned());
        error
    }

    /// Prompt and response do not fit into the context.
    pub(crate) fn context_length(tokens: usize, limit: usize, prompt: usize) -> Self {
        let message = format!(
            "This model's maximum context length is {limit} tokens. However, you requested \
             {tokens} tokens ({prompt} in the messages, {} in the completion). Please reduce the \
             length of the messages or completion.",
            tokens.saturating_sub(prompt)
        );
        Self::invalid("messages", "context_length_exceeded", message)
    }

    /// Too many requests wait already.
    pub(crate) fn busy(retry_after: Duration) -> Self {
        let message = "Too many requests wait for this model. Try again after the time that the \
                       Retry-After header gives.";
        let mut error = Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            "rate_limit_error",
            "rate_limit_exceeded",
            message,
        );
        error.retry_after = Some(retry_after);
        error
    }

    /// A policy does not let callers have what the request asks for.
    pub(crate) fn beyond_policy(message: impl Into<String>) -> Self {
        let mut error = Self::new(
            StatusCode::FORBIDDEN,
            "invalid_request_error",
            "beyond_policy_bounds",
            message,
        );
        error.body.error.param = Some("personaguard.traits".to_owned());
        error
    }

    /// Not ready to serve.
    pub(crate) fn unavailable(code: &'static str, message: impl Into<String>) -> Self {
        let mut error = Self::new(StatusCode::SERVICE_UNAVAILABLE, "server_error", code, message);
        error.retry_after = Some(Duration::from_secs(5));
        error
    }

    /// A policy that fails closed refuses what cannot be scored.
    pub(crate) fn unscorable() -> Self {
        let mut error = Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "server_error",
            "guard_unavailable",
            "A policy on this service refuses answers that cannot be scored, and this one cannot. \
             The policy's status says why.",
        );
        error.retry_after = Some(Duration::from_secs(30));
        error
    }

    /// A policy that fails closed refuses what the audit log cannot record.
    pub(crate) fn unrecorded() -> Self {
        let mut error = Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "server_error",
            "audit_log_unavailable",
            "A policy on this service refuses answers while its audit log cannot be written. The \
             log of the sidecar says why.",
        );
        error.retry_after = Some(Duration::from_secs(30));
        error
    }

    /// The server behind this one fails.
    pub(crate) fn gateway(
        status: StatusCode,
        code: &'static str,
        message: impl Into<String>,
    ) -> Self {
        Self::new(status, "server_error", code, message)
    }

    /// A fault of this server.
    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "server_error", "internal_error", message)
    }

    /// The same about another field, where `name` gives one.
    pub(crate) fn with_param(mut self, name: impl Fn(&str) -> Option<&'static str>) -> Self {
        let error = &mut self.body.error;
        if let Some(other) = error.param.as_deref().and_then(name) {
            error.param = Some(other.to_owned());
        }
        self
    }

    /// The error's code, which holds no text of the request.
    pub(crate) fn code(&self) -> &'static str {
        self.body.error.code.unwrap_or_default()
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.body)).into_response();
        if let Some(wait) = self.retry_after {
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, HeaderValue::from(wait.as_secs().max(1)));
        }
        response
    }
}
