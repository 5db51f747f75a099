use super::*;
use crate::fixtures::{Asked, FakeApi};
use serde_json::Value;
use std::sync::{Arc, Mutex};

/// Two policies with the finalizer, one of them of a newer version and with another finalizer, and
/// one without.
fn policies() -> Vec<Value> {
    let policy = |name: &str, finalizers: &[&str], spec: Value| {
        json!({
            "apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata",
            "metadata": {
                "name": name, "namespace": "support", "resourceVersion": "7",
                "finalizers": finalizers
            },
            "spec": spec
        })
    };
    vec![
        policy("a", &[names::FINALIZER], json!({})),
        policy("b", &["example.com/other", names::FINALIZER], json!({"future": {}})),
        policy("c", &[], json!({})),
    ]
}

#[tokio::test]
async fn item_21_an_uninstallation_stops_the_operator_and_removes_its_finalizers_only() {
    let lease = json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": {"name": "personaguard-operator", "resourceVersion": "1"}, "spec": {}
    });
    let (lease, patches) = (Arc::new(Mutex::new(lease)), Arc::new(Mutex::new(Vec::new())));
    let log = Arc::clone(&patches);
    let server = FakeApi::start(move |asked: &Asked| {
        let path = asked.uri.split('?').next().unwrap();
        let last = path.rsplit('/').next().unwrap();
        let body: Value = serde_json::from_slice(&asked.body).unwrap_or_default();
        let named = || policies().into_iter().find(|it| it["metadata"]["name"] == last).unwrap();
        Some((
            200,
            match (asked.method.as_str(), path) {
                ("PATCH", path) if path.ends_with("/personaguard-operator/scale") => {
                    log.lock().unwrap().push(body);
                    json!({"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {}})
                }
                ("PUT", path) if path.contains("/leases/") => {
                    *lease.lock().unwrap() = body;
                    lease.lock().unwrap().clone()
                }
                (_, path) if path.contains("/leases/") => lease.lock().unwrap().clone(),
                ("GET", path) if path.ends_with("/personapolicies") => json!({
                    "apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadataList",
                    "metadata": {}, "items": policies()
                }),
                ("PATCH", _) => {
                    log.lock().unwrap().push(body["metadata"]["finalizers"].clone());
                    named()
                }
                _ => named(),
            },
        ))
    });
    run(server.config(), "system").await.unwrap();
    assert_eq!(
        *patches.lock().unwrap(),
        [json!({"spec": {"replicas": 0}}), json!([]), json!(["example.com/other"])]
    );
}

#[tokio::test]
async fn item_21_without_the_kinds_there_is_nothing_to_remove() {
    let server = FakeApi::start(|_: &Asked| Some((404, json!({"code": 404, "message": "no"}))));
    let client = election_client(server.config()).unwrap();
    let removed = remove_finalizers(&Api::all(client.clone()), &client).await.unwrap();
    assert_eq!(removed, 0);
}
