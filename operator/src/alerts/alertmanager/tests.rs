use super::*;
use crate::alerts::http::client;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{Html, IntoResponse as _, Redirect};
use axum_server::tls_rustls::RustlsConfig;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use tempfile::TempDir;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + second).unwrap()
}

fn alert(ends_at: Option<Timestamp>) -> Alert {
    Alert {
        labels: BTreeMap::from([("alertname", "A".to_owned())]),
        annotations: BTreeMap::new(),
        starts_at: at(0),
        ends_at,
    }
}

#[test]
fn a_firing_alert_expires_and_a_resolved_one_has_its_end() {
    let body = body(&[alert(None), alert(Some(at(60)))], at(90));
    assert_eq!(body[0]["startsAt"], "2023-11-14T22:13:20Z");
    assert_eq!(body[0]["endsAt"], "2023-11-14T22:19:50Z");
    assert_eq!(body[1]["endsAt"], "2023-11-14T22:14:20Z");
    assert_eq!(Alertmanager::new("http://a:9093/", None).url, "http://a:9093/api/v2/alerts");
}

#[test]
fn item_19_an_alertmanager_is_known_by_its_base_its_page_and_its_api() {
    for (address, expected) in [
        ("http://a:9093", "http://a:9093/api/v2/alerts"),
        ("https://am.example/alertmanager", "https://am.example/alertmanager/api/v2/alerts"),
        ("https://am.example/alertmanager/", "https://am.example/alertmanager/api/v2/alerts"),
        ("http://a:9093/api/v2/alerts", "http://a:9093/api/v2/alerts"),
        ("http://a:9093/api/v2/alerts/", "http://a:9093/api/v2/alerts"),
        ("http://a/am/api/v2", "http://a/am/api/v2/alerts"),
        ("http://a/api/v1/alerts", "http://a/api/v2/alerts"),
        ("https://a/am/#/alerts?silenced=false", "https://a/am/api/v2/alerts"),
        ("https://a/am?tenant=b", "https://a/am/api/v2/alerts?tenant=b"),
        ("http://[fd00::9]:9093", "http://[fd00::9]:9093/api/v2/alerts"),
        ("https://user:p%40ss@a", "https://user:p%40ss@a/api/v2/alerts"),
    ] {
        assert_eq!(Alertmanager::new(address, None).url, expected);
    }
}

type Seen = Arc<Mutex<Vec<(String, String)>>>;

/// An Alertmanager, with a proxy in front of some of its paths; what it saw: path and credentials.
fn router() -> (axum::Router, Seen) {
    let seen = Seen::default();
    let shared = Arc::clone(&seen);
    let router = axum::Router::new().fallback(move |uri: Uri, headers: HeaderMap| {
        let authorization = headers.get("authorization").map(|value| value.to_str().unwrap());
        let authorization = authorization.unwrap_or_default().to_owned();
        shared.lock().unwrap().push((uri.path().to_owned(), authorization));
        let path = uri.path().to_owned();
        async move {
            match path.split('/').nth(1).unwrap_or_default() {
                "login" => Redirect::to("https://sso.example:8443/start?rd=secret").into_response(),
                "page" => Html("<form>").into_response(),
                "closed" => StatusCode::UNAUTHORIZED.into_response(),
                "elsewhere" => StatusCode::NOT_FOUND.into_response(),
                "broken" => StatusCode::SERVICE_UNAVAILABLE.into_response(),
                _ => StatusCode::OK.into_response(),
            }
        }
    });
    (router, seen)
}

fn folder(files: &[(&str, &[u8])]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (file, text) in files {
        std::fs::write(folder.path().join(file), text).unwrap();
    }
    folder
}

async fn deliver(address: &str, files: &[(&str, &[u8])]) -> Result<(), String> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let folder = folder(files);
    let receiver = Alertmanager::new(address, Some(folder.path().to_owned()));
    let http = client().build().unwrap();
    let result = receiver.deliver(&http, &[alert(None)], at(0)).await;
    result.map_err(|error| personaguard_api::with_causes(&error))
}

#[tokio::test]
async fn item_19_credentials_come_from_files_and_refusals_say_what_is_missing() {
    let (router, seen) = router();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });

    let with_prefix = format!("{base}/alertmanager");
    deliver(&with_prefix, &[("username", b"pg"), ("password", b"p@ss\n")]).await.unwrap();
    deliver(&base, &[("token", b"abc\n")]).await.unwrap();
    deliver(&base.replace("//", "//in:url@"), &[]).await.unwrap();
    let path = |prefix: &str| format!("{prefix}/api/v2/alerts");
    let expected = [
        (path("/alertmanager"), "Basic cGc6cEBzcw=="),
        (path(""), "Bearer abc"),
        (path(""), "Basic aW46dXJs"),
    ];
    let expected = expected.map(|(path, credentials)| (path, credentials.to_owned()));
    assert_eq!(*seen.lock().unwrap(), expected);

    for (prefix, told) in [
        ("login", "leads to https://sso.example:8443/start: either a proxy"),
        ("page", "a web page"),
        ("closed", "401 Unauthorized: its credentials are missing or wrong"),
        ("elsewhere", "404 Not Found: it is not at this path; look for a prefix"),
        ("broken", "503 Service Unavailable"),
    ] {
        let error = deliver(&format!("{base}/{prefix}"), &[]).await.unwrap_err();
        assert!(error.contains(told) && !error.contains("secret"), "{error}");
    }
    let both = deliver(&base, &[("token", b"t"), ("username", b"u")]).await.unwrap_err();
    assert!(both.contains("leave one of them out"), "{both}");
}

#[tokio::test]
async fn item_19_an_own_authority_is_trusted_and_without_it_the_cause_is_told() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let pem = own.cert.pem();
    let key = own.signing_key.serialize_pem();
    let tls = RustlsConfig::from_pem(pem.clone().into(), key.into()).await.unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    let (router, seen) = router();
    let server = axum_server::from_tcp_rustls(listener, tls).unwrap();
    tokio::spawn(server.serve(router.into_make_service()));

    let error = deliver(&address, &[]).await.unwrap_err();
    assert!(error.to_lowercase().contains("certificate"), "{error}");
    let error = deliver(&address, &[("ca.crt", b"no PEM")]).await.unwrap_err();
    assert!(error.contains("ca.crt"), "{error}");
    deliver(&address, &[("ca.crt", pem.as_bytes())]).await.unwrap();
    assert_eq!(seen.lock().unwrap().len(), 1);
}
