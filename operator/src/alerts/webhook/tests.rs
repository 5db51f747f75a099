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

/// A test vector of the specification's own libraries.
#[test]
fn the_signature_is_that_of_the_specification() {
    let key = key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
    let signed =
        hmac::sign(&key, br#"msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330.{"test": 2432232314}"#);
    assert_eq!(STANDARD.encode(signed), "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
}

#[test]
fn a_beginning_has_one_id_and_its_end_another() {
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
async fn a_receiver_can_verify_the_signature() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let secret = "0123456789abcdef0123456789abcdef";
    let (sender, mut receiver) = mpsc::channel::<(HeaderMap, String)>(1);
    let router = axum::Router::new().route(
        "/hook",
        post(move |headers: HeaderMap, body: String| async move {
            sender.send((headers, body)).await.unwrap();
        }),
    );
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    let mut file = tempfile::NamedTempFile::new().unwrap();
    writeln!(file, "{secret}").unwrap();
    let webhook = Webhook::new(url, file.path().to_owned());
    webhook.deliver(&reqwest::Client::new(), &alert(None), Timestamp::now()).await.unwrap();
    let (headers, body) = receiver.recv().await.unwrap();
    let header = |name: &str| headers[name].to_str().unwrap().to_owned();
    let signature =
        STANDARD.decode(header("webhook-signature").strip_prefix("v1,").unwrap()).unwrap();
    let signed = format!("{}.{}.{body}", header("webhook-id"), header("webhook-timestamp"));
    let theirs = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    hmac::verify(&theirs, signed.as_bytes(), &signature).unwrap();
}
