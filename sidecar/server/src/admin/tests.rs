use super::*;
use crate::audit::Logs;
use serde_json::Value;

#[tokio::test]
async fn issue_15_17_the_admin_port_tells_which_process_reports() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let app = Arc::new(AppState::new(Logs::default()));
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("http://{}{INSTANCE_PATH}", listener.local_addr().unwrap());
    let router = router(Arc::clone(&app), false);
    tokio::spawn(async { axum::serve(listener, router).await.unwrap() });
    let answer: Value = reqwest::get(url).await.unwrap().json().await.unwrap();
    assert_eq!(answer, json!({ "instance": app.report().instance }));
}
