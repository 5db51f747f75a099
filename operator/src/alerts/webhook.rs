//! A webhook that is signed as <https://www.standardwebhooks.com> says: headers `webhook-id`,
//! `webhook-timestamp` and `webhook-signature`, the last one an HMAC-SHA-256 over
//! `id.timestamp.body`.

use super::{Alert, Undelivered};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use personaguard_api::Digest;
use ring::hmac;
use serde_json::json;
use std::path::PathBuf;

/// Shortest secret, in bytes: as the specification has it.
const SHORTEST_SECRET: usize = 24;
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

    /// The secret is read each time: it may be changed while the operator runs.
    pub(super) async fn deliver(
        &self,
        http: &reqwest::Client,
        alert: &Alert,
        now: Timestamp,
    ) -> Result<(), Undelivered> {
        let text = tokio::fs::read_to_string(&self.secret_file).await.map_err(|error| {
            Undelivered::Secret(format!("the webhook's secret cannot be read: {error}"))
        })?;
        let message = Message::new(alert, &key(&text).map_err(Undelivered::Secret)?, now);
        let request = http
            .post(&self.url)
            .header("content-type", "application/json")
            .header("webhook-id", message.id)
            .header("webhook-timestamp", message.timestamp)
            .header("webhook-signature", message.signature)
            .body(message.body);
        request.send().await?.error_for_status()?;
        Ok(())
    }
}

/// One request, as it is sent.
#[derive(Debug)]
struct Message {
    /// The same for the same event: what a receiver has seen already it may pass over.
    id: String,
    timestamp: String,
    signature: String,
    body: String,
}

impl Message {
    fn new(alert: &Alert, key: &hmac::Key, now: Timestamp) -> Self {
        let kind = if alert.ends_at.is_some() { "alert.resolved" } else { "alert.firing" };
        let body = json!({ "type": kind, "timestamp": alert.ends_at.unwrap_or(alert.starts_at), "data": alert });
        let event = json!([kind, alert.labels, alert.starts_at]).to_string();
        let id = format!("msg_{}", Digest::of(event.as_bytes()).short());
        let (timestamp, body) = (now.as_second().to_string(), body.to_string());
        let signed = hmac::sign(key, format!("{id}.{timestamp}.{body}").as_bytes());
        Self { signature: format!("v1,{}", STANDARD.encode(signed)), id, timestamp, body }
    }
}

/// `whsec_` and base64, or the bytes themselves.
fn key(text: &str) -> Result<hmac::Key, String> {
    let text = text.trim();
    let bytes = match text.strip_prefix(SECRET_PREFIX) {
        Some(encoded) => STANDARD
            .decode(encoded)
            .map_err(|error| format!("the webhook's secret is not base64: {error}"))?,
        None => text.as_bytes().to_vec(),
    };
    if bytes.len() < SHORTEST_SECRET {
        return Err(format!(
            "the webhook's secret has {} bytes, and {SHORTEST_SECRET} are the least: make one with `openssl rand -base64 32`",
            bytes.len()
        ));
    }
    Ok(hmac::Key::new(hmac::HMAC_SHA256, &bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderMap;
    use axum::routing::post;
    use std::collections::BTreeMap;
    use std::io::Write as _;
    use tokio::sync::mpsc;

    fn alert(ends_at: Option<Timestamp>) -> Alert {
        Alert {
            labels: BTreeMap::from([("alertname", "PersonaGuardTraitBreached".to_owned())]),
            annotations: BTreeMap::new(),
            starts_at: Timestamp::from_second(1_700_000_000).unwrap(),
            ends_at,
        }
    }

    /// The vector that the specification's own libraries are tested with.
    #[test]
    fn the_signature_is_the_one_of_the_specification() {
        let key = key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let signed =
            hmac::sign(&key, br#"msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330.{"test": 2432232314}"#);
        assert_eq!(STANDARD.encode(signed), "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn one_event_has_one_id_and_its_end_another() {
        let key = key(&"k".repeat(32)).unwrap();
        let now = Timestamp::from_second(1_700_000_100).unwrap();
        let first = Message::new(&alert(None), &key, now);
        assert_eq!(
            first.id,
            Message::new(&alert(None), &key, now + jiff::SignedDuration::from_secs(9)).id
        );
        assert_ne!(first.id, Message::new(&alert(Some(now)), &key, now).id);
        assert!(first.body.contains("\"type\":\"alert.firing\""), "{}", first.body);
        assert!(!first.body.contains("endsAt"), "{}", first.body);
    }

    #[test]
    fn a_secret_that_is_too_short_says_how_to_make_one() {
        assert!(key("hunter2").unwrap_err().contains("openssl rand"));
        assert!(key("whsec_***").unwrap_err().contains("base64"));
    }

    #[tokio::test]
    async fn a_receiver_can_tell_that_it_came_from_here() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let secret = "0123456789abcdef0123456789abcdef";
        let (tell, mut told) = mpsc::channel::<(HeaderMap, String)>(1);
        let router = axum::Router::new().route(
            "/hook",
            post(move |headers: HeaderMap, body: String| async move {
                tell.send((headers, body)).await.unwrap();
            }),
        );
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        let mut file = tempfile::NamedTempFile::new().unwrap();
        writeln!(file, "{secret}").unwrap();
        let webhook = Webhook::new(url, file.path().to_owned());
        webhook.deliver(&reqwest::Client::new(), &alert(None), Timestamp::now()).await.unwrap();
        let (headers, body) = told.recv().await.unwrap();
        let header = |name: &str| headers[name].to_str().unwrap().to_owned();
        let signature =
            STANDARD.decode(header("webhook-signature").strip_prefix("v1,").unwrap()).unwrap();
        let signed = format!("{}.{}.{body}", header("webhook-id"), header("webhook-timestamp"));
        let theirs = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        hmac::verify(&theirs, signed.as_bytes(), &signature).unwrap();
    }
}
