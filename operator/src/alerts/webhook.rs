//! A webhook that is signed as <https://www.standardwebhooks.com> specifies: with headers
//! `webhook-id`, `webhook-timestamp` and `webhook-signature`, an HMAC-SHA-256 of
//! `id.timestamp.body`.

use super::alert::Alert;
use super::error::DeliveryError;
use super::http::{accepted, own_client};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use personaguard_api::Digest;
use ring::hmac;
use serde_json::json;
use std::path::{Path, PathBuf};

/// Minimum length of a secret, by the specification.
const MIN_SECRET_BYTES: usize = 24;
const SECRET_PREFIX: &str = "whsec_";

#[derive(Clone, Debug)]
pub(super) struct Webhook {
    url: String,
    secret_file: PathBuf,
}

impl Webhook {
    pub(super) fn new(url: String, secret_file: PathBuf) -> Self {
        Self { url, secret_file }
    }

    /// The secret is read each time, because it may change while the operator runs. A `ca.crt`
    /// beside it is trusted, too.
    pub(super) async fn deliver(
        &self,
        http: &reqwest::Client,
        alert: &Alert,
        now: Timestamp,
    ) -> Result<(), DeliveryError> {
        let secret = tokio::fs::read_to_string(&self.secret_file).await.map_err(|error| {
            DeliveryError::Secret(format!("the webhook's secret cannot be read: {error}"))
        })?;
        let key = key(&secret).map_err(DeliveryError::Secret)?;
        let message = Message::new(alert, &key, now);
        let folder = self.secret_file.parent().unwrap_or(Path::new("."));
        let own = own_client(folder).await?;
        let request = own
            .as_ref()
            .unwrap_or(http)
            .post(&self.url)
            .header("content-type", "application/json")
            .header("webhook-id", message.id)
            .header("webhook-timestamp", message.timestamp)
            .header("webhook-signature", message.signature)
            .body(message.body);
        accepted(&request.send().await?)
    }
}

/// One signed request.
#[derive(Debug)]
struct Message {
    /// The same for each delivery of one event, so that a receiver can ignore repetitions.
    id: String,
    timestamp: String,
    signature: String,
    body: String,
}

impl Message {
    fn new(alert: &Alert, key: &hmac::Key, now: Timestamp) -> Self {
        let type_ = if alert.ends_at.is_some() { "alert.resolved" } else { "alert.firing" };
        let at = alert.ends_at.unwrap_or(alert.starts_at);
        let body = json!({ "type": type_, "timestamp": at, "data": alert }).to_string();
        let event = json!([type_, alert.labels, alert.starts_at]).to_string();
        let id = format!("msg_{}", Digest::of(event.as_bytes()).short());
        let timestamp = now.as_second().to_string();
        let signature = hmac::sign(key, format!("{id}.{timestamp}.{body}").as_bytes());
        Self { signature: format!("v1,{}", STANDARD.encode(signature)), id, timestamp, body }
    }
}

/// A secret is `whsec_` followed by base64, or the bytes themselves.
fn key(secret: &str) -> Result<hmac::Key, String> {
    let secret = secret.trim();
    let bytes = match secret.strip_prefix(SECRET_PREFIX) {
        Some(encoded) => STANDARD
            .decode(encoded)
            .map_err(|error| format!("the webhook's secret is not base64: {error}"))?,
        None => secret.as_bytes().to_vec(),
    };
    if bytes.len() < MIN_SECRET_BYTES {
        return Err(format!(
            "the webhook's secret has {} bytes, but needs at least {MIN_SECRET_BYTES}: make one \
             with `openssl rand -base64 32`",
            bytes.len()
        ));
    }
    Ok(hmac::Key::new(hmac::HMAC_SHA256, &bytes))
}

#[cfg(test)]
mod tests;
