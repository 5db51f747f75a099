use super::*;
use crate::ingest::limits::limited;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{ConnectInfo, Json, Request, State};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum_server::Handle;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::timeout;

/// Far more than anything here takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// An API server that knows the tokens `pod-NAME` and `pod-NAME@NAMESPACE`, and takes for ever over
/// `slow-…`.
async fn api() -> Client {
    let review = async |Json(review): Json<Value>| {
        let token = review["spec"]["token"].as_str().unwrap_or_default();
        if token.starts_with("slow-") {
            std::future::pending::<()>().await;
        }
        let pod = token.strip_prefix("pod-");
        let namespace = token.split_once('@').map_or("support", |(_, namespace)| namespace);
        let status = match pod {
            None => json!({ "authenticated": false, "error": "unknown" }),
            Some(pod) => json!({
                "authenticated": true, "audiences": ["reports.personaguard.dev"],
                "user": {
                    "username": format!("system:serviceaccount:{namespace}:default"),
                    "extra": {
                        "authentication.kubernetes.io/pod-name": [pod],
                        "authentication.kubernetes.io/pod-uid": [pod]
                    }
                }
            }),
        };
        Json(json!({
            "apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "metadata": {},
            "spec": {}, "status": status
        }))
    };
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let path = "/apis/authentication.k8s.io/v1/tokenreviews";
    let router = Router::new().route(path, post(review));
    tokio::spawn(async { axum::serve(listener, router).await.unwrap() });
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::try_from(kube::Config::new(url.parse().unwrap())).unwrap()
}

async fn through(
    State(gate): State<Arc<Gate>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
    next: Next,
) -> Response {
    match gate.admit(request.headers(), peer).await {
        Ok(_admitted) => next.run(request).await,
        Err(error) => error.into_response(),
    }
}

/// A report server that accepts what gets through the gate.
async fn server() -> SocketAddr {
    let connections = Connections::default();
    let gate = Arc::new(Gate::new(api().await, connections.clone()));
    let accept = async |_: Bytes| StatusCode::NO_CONTENT;
    let router = Router::new().route("/", post(accept)).layer(from_fn_with_state(gate, through));
    let handle = Handle::new();
    let address: SocketAddr = ([0, 0, 0, 0], 0).into();
    let server = axum_server::bind(address).acceptor(connections).handle(handle.clone());
    let server = limited(server);
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(server.serve(service));
    ([127, 0, 0, 1], handle.listening().await.unwrap().port()).into()
}

/// A connection from another address of this machine.
async fn connect(host: u8, server: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(([127, 0, 0, host], 0).into()).unwrap();
    socket.connect(server).await.unwrap()
}

fn head(token: &str, length: usize) -> String {
    format!(
        "POST / HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {token}\r\n\
         content-length: {length}\r\n\r\n"
    )
}

/// Sends bytes, and reads the status that comes back.
async fn status(connection: &mut TcpStream, bytes: &str) -> String {
    let answer = async {
        connection.write_all(bytes.as_bytes()).await.unwrap();
        let mut line = [0; 12];
        connection.read_exact(&mut line).await.unwrap();
        String::from_utf8_lossy(&line[9..]).into_owned()
    };
    timeout(PATIENCE, answer).await.expect("an answer")
}

#[tokio::test]
async fn issue_15_19_a_token_is_judged_before_the_body_is_read() {
    let server = server().await;
    let mut connection = connect(1, server).await;
    // The body never comes.
    assert_eq!(status(&mut connection, &head("nonsense", 100_000)).await, "401");
    let mut connection = connect(1, server).await;
    assert_eq!(status(&mut connection, &(head("pod-chat", 2) + "{}")).await, "204");
}

#[tokio::test]
async fn issue_15_19_slow_strangers_do_not_stop_the_reports_of_others() {
    let server = server().await;
    let mut held = Vec::new();
    for host in 2..8 {
        for _ in 0..50 {
            let mut connection = connect(host, server).await;
            // Half a head.
            connection.write_all(b"POST / HTTP/1.1\r\nhost: a\r\n").await.unwrap();
            held.push(connection);
        }
    }
    for host in 8..12 {
        for _ in 0..50 {
            let mut connection = connect(host, server).await;
            connection.write_all(head("nonsense", 100_000).as_bytes()).await.unwrap();
            held.push(connection);
        }
    }
    let mut connection = connect(1, server).await;
    assert_eq!(status(&mut connection, &(head("pod-chat", 2) + "{}")).await, "204");
}

#[tokio::test]
async fn issue_15_19_one_pod_holds_few_places() {
    let server = server().await;
    let mut held = Vec::new();
    for _ in 0..MAX_PUSHES_PER_POD {
        let mut connection = connect(2, server).await;
        connection.write_all(head("pod-slow", 100_000).as_bytes()).await.unwrap();
        held.push(connection);
    }
    // Until both have been let in; what is let in with its whole body ends at once.
    let full = async {
        while status(&mut connect(2, server).await, &(head("pod-slow", 2) + "{}")).await != "503" {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, full).await.expect("its places are taken");
    let mut connection = connect(1, server).await;
    assert_eq!(status(&mut connection, &(head("pod-chat", 2) + "{}")).await, "204");
}

#[tokio::test]
async fn issue_15_19_tokens_that_are_refused_take_no_reviews_from_those_who_come_first() {
    let server = server().await;
    let mut held = Vec::new();
    for host in 2..20 {
        let mut connection = connect(host, server).await;
        assert_eq!(status(&mut connection, &head("nonsense", 2)).await, "401");
        for number in 0..4 {
            let mut connection = connect(host, server).await;
            let token = format!("slow-{host}-{number}");
            connection.write_all(head(&token, 2).as_bytes()).await.unwrap();
            held.push(connection);
        }
    }
    // Until they have been taken in.
    tokio::time::sleep(Duration::from_millis(300)).await;
    for number in 0..8 {
        let mut connection = connect(100 + number, server).await;
        let new = head(&format!("pod-chat-{number}"), 2) + "{}";
        assert_eq!(status(&mut connection, &new).await, "204");
    }
}

#[tokio::test]
async fn issue_15_19_one_namespace_does_not_hold_all_places() {
    let server = server().await;
    let mut held = Vec::new();
    for pod in 0..MAX_CONCURRENT_PUSHES {
        let host = u8::try_from(2 + pod / 10).unwrap();
        let mut connection = connect(host, server).await;
        let head = head(&format!("pod-slow-{pod}@many"), 100_000);
        connection.write_all(head.as_bytes()).await.unwrap();
        held.push(connection);
        // A token is reviewed at a time.
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let full = async {
        let own = head("pod-one-more@many", 2) + "{}";
        while status(&mut connect(200, server).await, &own).await != "503" {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, full).await.expect("its places are taken");
    let mut connection = connect(1, server).await;
    assert_eq!(status(&mut connection, &(head("pod-chat", 2) + "{}")).await, "204");
}

#[tokio::test]
async fn issue_15_19_a_head_without_end_is_not_held() {
    let server = server().await;
    let mut connection = connect(1, server).await;
    let endless = format!("POST / HTTP/1.1\r\nhost: a\r\nx: {}", "a".repeat(128 << 10));
    let (mut reads, mut writes) = connection.split();
    let mut answer = Vec::new();
    let ended = async {
        tokio::join!(writes.write_all(endless.as_bytes()), reads.read_to_end(&mut answer))
    };
    let _ = timeout(PATIENCE, ended).await.expect("it ends");
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer}");
}
