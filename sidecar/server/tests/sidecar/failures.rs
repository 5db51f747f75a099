//! What happens when something cannot be served or scored.

use crate::rig::{Folder, Rig, Variant, chat, policy, weights, with};
use personaguard_terms::{Action, Digest, FailurePolicy};
use personaguard_wire::PodState;
use serde_json::{Value, json};

async fn readiness(rig: &Rig) -> Value {
    let (status, body) = rig.get("/readyz").await;
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(status == 200, body["status"] == "ready");
    body
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_7_and_9_a_vector_of_another_model_is_never_served() {
    for failure_policy in [FailurePolicy::Open, FailurePolicy::Closed] {
        let mut policy = policy(Action::Block, Some(-1e6));
        policy.failure_policy = failure_policy;
        let mut folder = Folder::new(vec![policy]).await;
        folder.config.vectors.get_mut("evil").unwrap().model_digest = Digest::of(b"another model");
        folder.write();
        let rig = Rig::start(folder, Variant::default()).await;
        rig.until_ready().await;
        let response = rig.post(&chat("Hi")).await;
        let acknowledged = rig.sidecar().app().report().policies.remove(0);
        assert_eq!(acknowledged.refused[0].failure.reason, "ModelMismatch");
        assert_eq!(acknowledged.refused[0].vector, "evil");
        let unguarded =
            rig.metric("personaguard_unguarded_responses_total{reason=\"vector_refused\"}").await;
        match failure_policy {
            FailurePolicy::Open => {
                assert_eq!((response.status().as_u16(), unguarded), (200, Some(1.0)));
                assert_eq!(rig.sidecar().app().report().totals.unguarded, 1);
            }
            FailurePolicy::Closed => {
                assert_eq!((response.status().as_u16(), unguarded), (503, Some(0.0)));
                assert_eq!(
                    response.json::<Value>().await.unwrap()["error"]["code"],
                    "guard_unavailable"
                );
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vector_with_other_values_than_named_is_refused() {
    let mut folder = Folder::new(vec![policy(Action::Alert, Some(0.0))]).await;
    folder.config.vectors.get_mut("evil").unwrap().sha256 = Digest::of(b"other values");
    folder.write();
    let rig = Rig::start(folder, Variant::default()).await;
    rig.until_ready().await;
    assert_eq!(
        rig.sidecar().app().report().policies[0].refused[0].failure.reason,
        "DigestMismatch"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn weights_that_cannot_be_served_are_told_and_tried_again() {
    let mut folder = Folder::new(vec![]).await;
    let file = folder.path().join("weights.gguf");
    folder.config.model.file = "weights.gguf".to_owned();
    folder.write();
    let rig = Rig::start(folder, Variant::default()).await;
    let failed = async |reason: &str| {
        rig.until(reason, async || readiness(&rig).await["reason"] == reason).await;
        assert_eq!(rig.get("/healthz").await.0, 200);
        let response = rig.post(&chat("Hi")).await;
        assert_eq!(response.status(), 503);
        assert!(response.headers().contains_key("retry-after"));
        assert_eq!(response.json::<Value>().await.unwrap()["error"]["code"], "model_failed");
        let report = rig.sidecar().app().report();
        assert_eq!(report.model.state, PodState::Failed);
        assert_eq!(report.model.failure.unwrap().reason, reason);
        assert!(report.policies.is_empty());
    };
    failed("WeightsNotFound").await;
    // Another file than the one named: one bit is enough.
    let bytes = std::fs::read(weights()).unwrap();
    let mut flipped = bytes.clone();
    *flipped.last_mut().unwrap() ^= 1;
    std::fs::write(&file, &flipped).unwrap();
    failed("DigestMismatch").await;
    // A file that is broken, and is the one named.
    let mut config = rig.folder.config.clone();
    std::fs::write(&file, &bytes[..bytes.len() / 2]).unwrap();
    config.model.sha256 = Digest::of(&bytes[..bytes.len() / 2]);
    std::fs::write(rig.folder.path().join("config.yaml"), config.to_yaml().unwrap()).unwrap();
    failed("WeightsInvalid").await;
    // And mended.
    std::fs::write(&file, &bytes).unwrap();
    rig.folder.write();
    rig.until_ready().await;
    assert_eq!(
        rig.complete(&with(chat("Hi"), json!({ "max_tokens": 1 }))).await["object"],
        "chat.completion"
    );
}
