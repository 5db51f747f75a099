use super::*;
use crate::fixtures::{FakeApi, context, policy};
use crate::policy::build::{Desired, build};
use crate::policy::fixtures::inputs;
use crate::policy::validate::validate;
use serde_json::{Value, json};

/// A config with policy `a` in force.
fn config() -> Stored {
    let inputs = inputs(vec![policy("a", 3, "evil")]);
    match build(&validate(&inputs), None).unwrap().config {
        Desired::Present(map) => Stored::read(Some(&map)),
        Desired::Unchanged | Desired::Absent => panic!("nothing is in force"),
    }
}

async fn found(code: u16, metadata: Value) -> (Vec<String>, Vec<String>) {
    let server = FakeApi::start(move |_| {
        let object = json!({
            "apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": metadata
        });
        let reason = if code == 404 { "NotFound" } else { "InternalError" };
        let refusal = json!({
            "kind": "Status", "status": "Failure", "code": code, "reason": reason
        });
        Some((code, if code == 200 { object } else { refusal }))
    });
    let context = context(&server);
    let found = still_there(&context, "support", &config()).await;
    (found, server.seen())
}

#[tokio::test]
async fn item_11_a_policy_that_a_list_lacks_is_asked_for_by_name() {
    let metadata = |uid: &str| json!({ "name": "a", "namespace": "support", "uid": uid });
    let (held, asked) = found(200, metadata("uid-a")).await;
    assert!(held[0].contains("PersonaPolicy `a` is in force"), "{held:?}");
    let path = "GET /apis/personaguard.dev/v1alpha1/namespaces/support/personapolicies/a";
    assert!(asked.len() == 1 && asked[0].starts_with(path), "{asked:?}");
    // Another of its name, or none: it was deleted, by somebody who removed the finalizer.
    assert!(found(200, metadata("another")).await.0.is_empty());
    assert!(found(404, json!({})).await.0.is_empty());
    let mut deleted = metadata("uid-a");
    deleted["deletionTimestamp"] = json!("2026-11-24T08:00:00Z");
    assert!(found(200, deleted).await.0.is_empty());
    // Who cannot ask does not withdraw.
    assert_eq!(found(500, json!({})).await.0.len(), 1);
}

#[tokio::test]
async fn invariant_6_nobody_is_asked_for_policies_that_the_watch_shows() {
    let server = FakeApi::start(|_| Some((500, json!({}))));
    let context = context(&server);
    context.stores.policies.upsert_written(shown(), Some);
    assert!(still_there(&context, "support", &config()).await.is_empty());
    assert!(server.seen().is_empty());
}

fn shown() -> PersonaPolicy {
    let mut policy = policy("a", 3, "evil");
    policy.metadata.resource_version = Some("7".into());
    policy
}
