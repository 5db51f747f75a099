//! A delivery that failed.

use reqwest::StatusCode;
use std::error::Error;

/// It shows no URL in full, because people put secrets there.
#[derive(Debug, thiserror::Error)]
pub(super) enum DeliveryError {
    #[error("{}", with_causes(.0))]
    Http(reqwest::Error),
    #[error("{0}")]
    Secret(String),
    #[error(
        "it answered {status} and leads to {to}: either a proxy in front of it wants credentials, \
         or it is there that the alerts belong"
    )]
    Redirected { status: StatusCode, to: String },
    #[error(
        "it answered with a web page: probably a proxy in front of it wants credentials, or the \
         path is not that of an Alertmanager"
    )]
    Page,
    #[error("it answered {status}{hint}")]
    Status { status: StatusCode, hint: &'static str },
}

impl From<reqwest::Error> for DeliveryError {
    fn from(error: reqwest::Error) -> Self {
        Self::Http(error.without_url())
    }
}

/// An error with all that it comes from: a certificate that is not trusted is at the end.
fn with_causes(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
