use super::*;
use crate::context::election_client;
use crate::fixtures::{Asked, FakeApi};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};

/// A server that keeps a Lease, and answers nothing else.
fn server(lease: &Arc<Mutex<Value>>) -> FakeApi {
    let lease = Arc::clone(lease);
    FakeApi::start(move |asked: &Asked| {
        if !asked.uri.contains("/leases") {
            return None;
        }
        let mut lease = lease.lock().unwrap();
        if asked.method == "PUT" {
            *lease = serde_json::from_slice(&asked.body).unwrap();
        }
        Some((200, lease.clone()))
    })
}

fn free_lease() -> Arc<Mutex<Value>> {
    Arc::new(Mutex::new(json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": {"name": LEASE, "namespace": "system", "resourceVersion": "1"}, "spec": {}
    })))
}

#[tokio::test]
async fn item_18_an_operator_whose_work_is_stuck_gives_the_lease_up() {
    let lease = free_lease();
    let server = server(&lease);
    let client = election_client(server.config()).unwrap();
    let mut elector = Elector::new(Api::namespaced(client, "system"), "me".into());
    elector.acquire().await;
    assert_eq!(lease.lock().unwrap()["spec"]["holderIdentity"], "me");
    let fence = elector.fence();
    assert!(fence.check().is_ok());
    let lost = elector.hold(&Metrics::new(), || Some("no request was answered".into())).await;
    assert!(matches!(lost, Lost::Stuck(_)), "{lost}");
    elector.release().await;
    assert!(fence.check().is_err(), "nothing is written any more");
    assert_eq!(lease.lock().unwrap()["spec"]["holderIdentity"], Value::Null);
}

#[tokio::test]
async fn item_18_an_attempt_to_take_the_lease_that_hangs_has_an_end() {
    let asked = Arc::new(Mutex::new(0));
    let (count, lease) = (Arc::clone(&asked), free_lease());
    // The first request is never answered.
    let server = FakeApi::start(move |asked: &Asked| {
        let mut count = count.lock().unwrap();
        *count += 1;
        let mut lease = lease.lock().unwrap();
        if asked.method == "PUT" {
            *lease = serde_json::from_slice(&asked.body).unwrap();
        }
        (*count > 1).then(|| (200, lease.clone()))
    });
    let client = election_client(server.config()).unwrap();
    let mut elector = Elector::new(Api::namespaced(client, "system"), "me".into());
    tokio::time::timeout(Duration::from_secs(30), elector.acquire()).await.unwrap();
    assert!(*asked.lock().unwrap() >= 3);
}
