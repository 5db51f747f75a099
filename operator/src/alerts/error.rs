//! A delivery that failed.

use reqwest::StatusCode;

/// It shows no URL in full, because people put secrets there.
#[derive(Debug, thiserror::Error)]
pub(super) enum DeliveryError {
    #[error("the receiver cannot be reached, or refuses")]
    Http(#[source] reqwest::Error),
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
