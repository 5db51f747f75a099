//! Why a push is not accepted.

use super::identity::IdentityError;
use crate::fleet::Contested;
use crate::outcome::NotLeader;
use axum::http::StatusCode;
use axum::http::header::RETRY_AFTER;
use axum::response::{IntoResponse, Response};

#[derive(Debug, thiserror::Error)]
pub(super) enum PushError {
    #[error("{0}")]
    Malformed(String),
    #[error("{0}")]
    Unauthenticated(String),
    #[error("{0}")]
    Forbidden(String),
    #[error(transparent)]
    Contested(#[from] Contested),
    #[error("the pod does not exist any more")]
    Gone,
    #[error("too busy: try again")]
    Overloaded,
    #[error("this operator does not lead")]
    NotLeader,
}

impl PushError {
    /// Label of the metric.
    pub(super) fn result(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "malformed",
            Self::Unauthenticated(_) => "unauthenticated",
            Self::Forbidden(_) => "forbidden",
            Self::Contested(_) => "contested",
            Self::Gone => "gone",
            Self::Overloaded => "overloaded",
            Self::NotLeader => "not_leader",
        }
    }
}

impl IntoResponse for PushError {
    fn into_response(self) -> Response {
        let message = self.to_string();
        match self {
            Self::Malformed(_) => (StatusCode::BAD_REQUEST, message).into_response(),
            Self::Unauthenticated(_) => (StatusCode::UNAUTHORIZED, message).into_response(),
            Self::Forbidden(_) => (StatusCode::FORBIDDEN, message).into_response(),
            Self::Contested(_) => (StatusCode::CONFLICT, message).into_response(),
            Self::Gone => (StatusCode::GONE, message).into_response(),
            Self::Overloaded | Self::NotLeader => {
                let retry = [(RETRY_AFTER, "1")];
                (StatusCode::SERVICE_UNAVAILABLE, retry, message).into_response()
            }
        }
    }
}

impl From<NotLeader> for PushError {
    fn from(_: NotLeader) -> Self {
        Self::NotLeader
    }
}

impl From<IdentityError> for PushError {
    fn from(error: IdentityError) -> Self {
        match error {
            IdentityError::Unauthenticated(why) => Self::Unauthenticated(why),
            IdentityError::NotAPod => Self::Forbidden(error.to_string()),
            IdentityError::Overloaded | IdentityError::Api(_) => Self::Overloaded,
        }
    }
}
