//! An Alertmanager, through its API v2. A firing alert is sent to it repeatedly; it merges alerts
//! by their labels.

use super::alert::Alert;
use super::error::DeliveryError;
use super::http::{accepted, own_client, read};
use jiff::{SignedDuration, Timestamp};
use reqwest::header::CONTENT_TYPE;
use reqwest::{RequestBuilder, Response, Url};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How often a firing alert is sent.
pub(super) const REPEAT_INTERVAL: Duration = Duration::from_secs(60);
/// An alert that is not repeated for so long ends: an operator that died cannot end it.
const ENDS_AFTER: SignedDuration = SignedDuration::from_mins(5);
const PATH: &str = "/api/v2/alerts";

#[derive(Clone, Debug)]
pub(super) struct Alertmanager {
    url: String,
    /// Folder with any of `username` and `password`, `token`, `ca.crt`, `tls.crt` and `tls.key`.
    secrets: Option<PathBuf>,
}

impl Alertmanager {
    /// `address` is what people know it by: its base, its page, or its API.
    pub(super) fn new(address: &str, secrets: Option<PathBuf>) -> Self {
        Self { url: endpoint(address), secrets }
    }

    pub(super) async fn deliver(
        &self,
        http: &reqwest::Client,
        alerts: &[Alert],
        now: Timestamp,
    ) -> Result<(), DeliveryError> {
        if alerts.is_empty() {
            return Ok(());
        }
        let request = match &self.secrets {
            Some(folder) => {
                let own = own_client(folder).await?;
                authorized(own.as_ref().unwrap_or(http).post(&self.url), folder).await?
            }
            None => http.post(&self.url),
        };
        let response = request.json(&body(alerts, now)).send().await?;
        accepted(&response)?;
        // A login page comes with status 200.
        if is_page(&response) { Err(DeliveryError::Page) } else { Ok(()) }
    }
}

/// Where alerts go: the path is appended to a prefix, unless the API is named already.
fn endpoint(address: &str) -> String {
    let Ok(mut url) = Url::parse(address) else { return address.to_owned() };
    url.set_fragment(None);
    let path = url.path().trim_end_matches('/').to_owned();
    // Of an API v1, which no Alertmanager has any more, the newer one is meant.
    let prefix = [PATH, "/api/v2", "/api/v1/alerts", "/api/v1"]
        .iter()
        .find_map(|known| path.strip_suffix(known))
        .unwrap_or(&path);
    url.set_path(&format!("{prefix}{PATH}"));
    url.into()
}

/// The request with the credentials of a folder, which are read each time.
async fn authorized(
    request: RequestBuilder,
    folder: &Path,
) -> Result<RequestBuilder, DeliveryError> {
    let word = async |file: &str| {
        let bytes = read(folder, file).await?;
        let text = bytes.map(|bytes| String::from_utf8_lossy(&bytes).trim_end().to_owned());
        Ok::<_, DeliveryError>(text.filter(|text| !text.is_empty()))
    };
    match (word("token").await?, word("username").await?) {
        (Some(_), Some(_)) => Err(DeliveryError::Secret(
            "its Secret has a token and a username: leave one of them out".to_owned(),
        )),
        (Some(token), None) => Ok(request.bearer_auth(token)),
        (None, Some(name)) => Ok(request.basic_auth(name, word("password").await?)),
        (None, None) => Ok(request),
    }
}

fn is_page(response: &Response) -> bool {
    let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    kind.is_some_and(|kind| kind.starts_with("text/html"))
}

fn body(alerts: &[Alert], now: Timestamp) -> Value {
    let alerts = alerts.iter().map(|alert| {
        json!({
            "labels": alert.labels,
            "annotations": alert.annotations,
            "startsAt": alert.starts_at,
            "endsAt": alert.ends_at.unwrap_or(now + ENDS_AFTER),
        })
    });
    alerts.collect()
}

#[cfg(test)]
mod tests;
