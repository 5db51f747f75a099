//! A delivery that failed.

/// It shows no URL, because people put secrets there.
#[derive(Debug, thiserror::Error)]
pub(super) enum DeliveryError {
    #[error("the receiver cannot be reached, or refuses")]
    Http(#[source] reqwest::Error),
    #[error("{0}")]
    Secret(String),
}

impl From<reqwest::Error> for DeliveryError {
    fn from(error: reqwest::Error) -> Self {
        Self::Http(error.without_url())
    }
}
