use super::*;
use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use personaguard_persona::{LayerMatrix, ModelIdentity, SampleCounts, VectorMetadata};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// An operator that answers the first push with the first status, and so on. Keeps all bodies.
async fn operator(
    statuses: &'static [StatusCode],
) -> (Delivery, Arc<Mutex<Vec<Bytes>>>, tempfile::TempDir) {
    let bodies: Arc<Mutex<Vec<Bytes>>> = Arc::default();
    let received = Arc::clone(&bodies);
    let push = move |headers: HeaderMap, body: Bytes| async move {
        assert_eq!(headers["authorization"], "Bearer secret");
        let mut received = received.lock().unwrap();
        received.push(body);
        (statuses[received.len() - 1], "for this reason")
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let router = Router::new()
        .route(names::VECTOR_PATH, post(push.clone()))
        .route(names::PROGRESS_PATH, post(push));
    tokio::spawn(async move { axum::serve(listener, router).await });
    let folder = tempfile::tempdir().unwrap();
    let token_file = folder.path().join("token");
    std::fs::write(&token_file, "secret\n").unwrap();
    (
        Delivery { url, token_file, ca_file: None, first_delay: Duration::from_millis(1) },
        bodies,
        folder,
    )
}

fn file(hidden: usize, prompts: bool) -> VectorFile {
    let matrix = LayerMatrix::from_rows(&vec![vec![0.5; hidden]; 3]).unwrap();
    let metadata = VectorMetadata {
        format: VectorMetadata::FORMAT.to_owned(),
        trait_name: "evil".to_owned(),
        description: String::new(),
        model: ModelIdentity { name: "m".to_owned(), sha256: "0".repeat(64) },
        made_on: None,
        method: "mean-difference/response-avg".to_owned(),
        counts: SampleCounts { positive: 1, negative: 1 },
        best_layer: 1,
        validation: Vec::new(),
        calibration: Vec::new(),
        steering: Vec::new(),
        settings: BTreeMap::new(),
    };
    let prompt = prompts.then(|| matrix.clone());
    VectorFile::new(metadata, matrix, prompt.clone(), prompt).unwrap()
}

#[tokio::test]
async fn delivery_is_repeated_until_the_operator_takes_the_file() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (delivery, bodies, _folder) =
        operator(&[StatusCode::SERVICE_UNAVAILABLE, StatusCode::NO_CONTENT]).await;
    delivery.deliver(&file(4, true)).await.unwrap();
    let bodies = bodies.lock().unwrap();
    assert_eq!(bodies.len(), 2);
    assert!(VectorFile::parse(&bodies[1]).unwrap().prompt_last().is_some());
}

#[tokio::test]
async fn a_refusal_ends_the_delivery_with_its_reason() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (delivery, _bodies, _folder) = operator(&[StatusCode::BAD_REQUEST]).await;
    let error = delivery.deliver(&file(4, false)).await.unwrap_err();
    assert!(error.to_string().contains("for this reason"), "{error}");
}

#[test]
fn a_file_too_large_for_a_config_map_goes_without_the_vectors_over_prompts_or_not_at_all() {
    let wide = fitting(&file(60_000, true)).unwrap();
    assert!(VectorFile::parse(&wide).unwrap().prompt_last().is_none());
    assert!(fitting(&file(120_000, false)).unwrap_err().to_string().contains("ConfigMap"));
}

#[tokio::test]
async fn progress_is_the_number_of_answers_in_the_journal() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (delivery, bodies, folder) = operator(&[StatusCode::NO_CONTENT]).await;
    let journal = folder.path().join("journal");
    let lines = "{\"design\":\"d\"}\n{\"request\":0}\n{\"rated\":0}\n{\"request\":1}\n";
    std::fs::write(&journal, lines).unwrap();
    let reported = async {
        while bodies.lock().unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        never = delivery.report_progress(&journal, 5) => match never {},
        () = reported => {}
    }
    assert_eq!(&bodies.lock().unwrap()[0][..], br#"{"done":2,"total":5}"#);
}
