use super::*;
use crate::certs::TrustBundle;
use crate::fixtures::{Asked, FakeApi, context};
use crate::vector::ArtifactCache;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// An API server for which every token is that of a pod `chat-1` in this namespace.
fn api(namespace: &'static str) -> FakeApi {
    FakeApi::start(move |asked: &Asked| {
        if !asked.uri.contains("tokenreviews") {
            return Some((404, json!({"code": 404, "reason": "NotFound", "message": "none"})));
        }
        let user = json!({
            "username": format!("system:serviceaccount:{namespace}:default"),
            "extra": {
                "authentication.kubernetes.io/pod-name": ["chat-1"],
                "authentication.kubernetes.io/pod-uid": ["uid-chat-1"]
            }
        });
        let audiences = [names::TOKEN_AUDIENCE];
        let status = json!({"authenticated": true, "audiences": audiences, "user": user});
        let review: Value = json!({
            "apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "metadata": {},
            "spec": {}, "status": status
        });
        Some((201, review))
    })
}

/// The status that a push gets before its body has come.
async fn status(namespace: &'static str, path: &str) -> String {
    let context = context(&api(namespace));
    let client = context.cluster.client.clone();
    let artifacts = Arc::new(ArtifactCache::new(client.clone(), "a".to_owned()));
    let trust = TrustBundle::default();
    let vectors = Arc::new(vector::Controller::new(Arc::clone(&context), artifacts, trust));
    let fleet = Arc::new(Fleet::new(client));
    let ingest = Ingest { context, fleet, vectors, connections: Connections::default() };
    let service = router(ingest).unwrap().into_make_service_with_connect_info::<SocketAddr>();
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let mut connection = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    tokio::spawn(async { axum::serve(listener, service).await.unwrap() });
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer t\r\n\
         content-length: 1000\r\n\r\n"
    );
    connection.write_all(head.as_bytes()).await.unwrap();
    let mut line = [0; 12];
    let read = connection.read_exact(&mut line);
    match tokio::time::timeout(Duration::from_secs(2), read).await {
        Ok(read) => {
            read.unwrap();
            String::from_utf8_lossy(&line[9..]).into_owned()
        }
        Err(_) => "waits for the body".to_owned(),
    }
}

#[tokio::test]
async fn issue_15_19_of_pods_elsewhere_no_body_of_a_vector_is_read() {
    for path in [names::VECTOR_PATH, names::PROGRESS_PATH] {
        assert_eq!(status("support", path).await, "403", "{path}");
    }
    assert_eq!(status("support", names::REPORT_PATH).await, "waits for the body");
    assert_eq!(status("personaguard-system", names::VECTOR_PATH).await, "waits for the body");
}
