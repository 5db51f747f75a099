//! The service in front of a real HTTP server.

use super::*;
use axum::body::Body;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use futures::stream::{self, Stream};
use serde_json::{Value, json};
use tokio::sync::mpsc;

async fn listen(app: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move { axum::serve(listener, app).await });
    format!("http://{address}")
}

async fn service(base_url: Option<String>) -> String {
    let _ = rustls::crypto::ring::default_provider().install_default();
    listen(router(Upstream::new(base_url, None, Some("Be kind.".into())).expect("valid"))).await
}

/// A model server that echoes each request.
async fn echo() -> String {
    listen(Router::new().route("/v1/chat/completions", post(|body: String| async move { body })))
        .await
        + "/v1"
}

fn client() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().build().expect("a client")
}

async fn chat(url: &str, body: &Value) -> reqwest::Response {
    client().post(format!("{url}/v1/chat/completions")).json(body).send().await.expect("an answer")
}

#[tokio::test]
async fn the_system_prompt_goes_first_unless_the_client_sends_one() {
    let url = service(Some(echo().await)).await;
    let plain = json!({"messages": [{"role": "user", "content": "Hi"}], "stream": false, "n": 1});
    let sent: Value = chat(&url, &plain).await.json().await.expect("JSON");
    assert_eq!(sent["messages"][0], json!({"role": "system", "content": "Be kind."}));
    assert_eq!(sent["messages"][1], plain["messages"][0]);
    assert_eq!(sent["n"], 1);
    let own = json!({"messages": [
        {"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"},
    ]});
    let sent: Value = chat(&url, &own).await.json().await.expect("JSON");
    assert_eq!(sent, own);
}

#[tokio::test]
async fn a_stream_passes_through_as_it_comes() {
    let (sender, receiver) = mpsc::channel::<Result<String, std::io::Error>>(1);
    let receiver = Arc::new(tokio::sync::Mutex::new(Some(receiver)));
    let upstream = Router::new().route(
        "/v1/chat/completions",
        post(move || async move {
            let receiver = receiver.lock().await.take().expect("one request");
            ([("content-type", "text/event-stream")], Body::from_stream(events(receiver)))
                .into_response()
        }),
    );
    let url = service(Some(listen(upstream).await + "/v1")).await;
    sender.send(Ok("data: 1\n\n".into())).await.expect("sent");
    let mut answer = chat(&url, &json!({"messages": [], "stream": true})).await;
    assert_eq!(answer.headers()["content-type"], "text/event-stream");
    // The first event arrives before the second is sent.
    assert_eq!(answer.chunk().await.expect("alive").expect("a chunk"), "data: 1\n\n");
    sender.send(Ok("data: 2\n\n".into())).await.expect("sent");
    assert_eq!(answer.chunk().await.expect("alive").expect("a chunk"), "data: 2\n\n");
    // The model server breaks off: the client gets an error, not an end.
    sender.send(Err(std::io::Error::other("gone"))).await.expect("sent");
    assert!(answer.chunk().await.is_err());
}

fn events<T: Send + 'static>(
    receiver: mpsc::Receiver<T>,
) -> impl Stream<Item = T> + Send + 'static {
    stream::unfold(receiver, |mut receiver| async move {
        receiver.recv().await.map(|item| (item, receiver))
    })
}

#[tokio::test]
async fn errors_of_the_model_server_pass_through_and_its_absence_is_reported() {
    let refuse = || async { (StatusCode::BAD_REQUEST, r#"{"error":{"message":"no"}}"#) };
    let refusing = listen(Router::new().route("/v1/chat/completions", post(refuse))).await + "/v1";
    let answer = chat(&service(Some(refusing)).await, &json!({"messages": []})).await;
    assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
    assert_eq!(answer.text().await.expect("text"), r#"{"error":{"message":"no"}}"#);

    let answer =
        chat(&service(Some("http://127.0.0.1:1/v1".into())).await, &json!({"messages": []})).await;
    assert_eq!(answer.status(), StatusCode::BAD_GATEWAY);
    let answer = chat(&service(None).await, &json!({"messages": []})).await;
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    let error: Value = answer.json().await.expect("JSON");
    assert!(
        error["error"]["message"].as_str().expect("a message").contains("OPENAI_BASE_URL"),
        "{error}"
    );
}
