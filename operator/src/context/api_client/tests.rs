use super::*;
use crate::context::Moment;
use crate::fixtures::FakeApi;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;

fn fence(open_for: Duration) -> Fence {
    let fence = Fence::default();
    fence.open_for(open_for, Moment::now());
    fence
}

async fn patch(client: &Client) -> kube::Result<ConfigMap> {
    let api: Api<ConfigMap> = Api::namespaced(client.clone(), "support");
    let patch = Patch::Merge(json!({"data": {}}));
    api.patch("a", &PatchParams::default(), &patch).await
}

#[tokio::test]
async fn item_18_a_write_is_sent_once_whatever_the_answer() {
    for status in [429, 503, 504] {
        let server = FakeApi::start(move |_| Some((status, json!({"code": status}))));
        let health = ApiHealth::default();
        let fence = fence(Duration::from_secs(9));
        let client = fenced_client(server.config(), fence, health).unwrap();
        patch(&client).await.unwrap_err();
        assert_eq!(server.seen().len(), 1, "{status} was tried again");
    }
}

#[tokio::test]
async fn item_18_a_write_ends_before_the_fence_closes_here_and_on_the_server() {
    let server = FakeApi::start(|_| None);
    let fence = fence(Duration::from_millis(700));
    let client = fenced_client(server.config(), fence, ApiHealth::default()).unwrap();
    let started = std::time::Instant::now();
    let error = patch(&client).await.unwrap_err();
    let took = started.elapsed();
    assert!(took < Duration::from_millis(1500), "it went on for {took:?}: {error}");
    let seen = server.seen();
    let (_, timeout) = seen[0].split_once("timeout=").unwrap_or_else(|| panic!("{seen:?}"));
    let timeout: u64 = timeout.trim_end_matches("ms").parse().unwrap();
    assert!((1..=700).contains(&timeout), "{timeout}");
    // The fence is closed now: nothing more is sent.
    patch(&client).await.unwrap_err();
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn item_18_reads_go_on_without_the_lease_and_watches_have_no_end() {
    let answer = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "support"}
    });
    let server = FakeApi::start(move |_| Some((200, answer.clone())));
    let client = fenced_client(server.config(), Fence::default(), ApiHealth::default()).unwrap();
    let api: Api<ConfigMap> = Api::namespaced(client, "support");
    assert_eq!(api.get("a").await.unwrap().metadata.name.as_deref(), Some("a"));
    let watch = |uri: &str| class(&Request::get(uri).body(Body::empty()).unwrap());
    assert_eq!(watch("/api/v1/pods?limit=5"), Class::Read);
    assert_eq!(watch("/api/v1/pods?limit=5&watch=true"), Class::Watch);
}

#[tokio::test(start_paused = true)]
async fn item_18_a_read_that_hangs_has_an_end() {
    let server = FakeApi::start(|_| None);
    let health = ApiHealth::default();
    let client = fenced_client(server.config(), Fence::default(), health.clone()).unwrap();
    let api: Api<ConfigMap> = Api::namespaced(client, "support");
    let started = Instant::now();
    assert!(health.stalled().is_none());
    while health.stalled().is_none() {
        api.get("a").await.unwrap_err();
        assert!(started.elapsed() < Duration::from_secs(100), "no request was given up");
    }
}

#[tokio::test(start_paused = true)]
async fn item_18_no_single_request_is_evidence_and_any_answer_counts() {
    let health = ApiHealth::default();
    let (wait, long) = (tokio::time::sleep, Duration::from_secs(31));
    let sent = Instant::now();
    wait(Duration::from_secs(5)).await;
    health.unanswered(Class::Write, sent);
    wait(long).await;
    assert!(health.stalled().is_none(), "only one was lost");
    health.answered(Class::Read);
    health.unanswered(Class::Write, Instant::now());
    assert!(health.stalled().is_some(), "reads are answered, writes are not");
    health.answered(Class::Write);
    assert!(health.stalled().is_none());
}
