use crate::fixtures::{Asked, FakeApi, context};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use serde_json::{Value, json};
use std::collections::BTreeMap;

const PATH: &str = "/api/v1/namespaces/support/configmaps/personaguard-smollm2";

fn desired() -> ConfigMap {
    let mut map = ConfigMap::default();
    map.metadata.name = Some("personaguard-smollm2".into());
    map.data = Some(BTreeMap::from([("config.yaml".to_owned(), "genuine".to_owned())]));
    map
}

fn map(more: &Value) -> Value {
    let mut map = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "personaguard-smollm2", "namespace": "support"},
        "data": {"config.yaml": "genuine"}
    });
    map.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    map
}

fn refusal(code: u16, message: &str) -> Value {
    json!({"kind": "Status", "status": "Failure", "code": code, "message": message})
}

/// What the API server was asked, and whether the object is what it should be afterwards.
async fn make(
    answer: impl Fn(&Asked, usize) -> (u16, Value) + Send + Sync + 'static,
) -> (Vec<String>, bool) {
    let count = std::sync::atomic::AtomicUsize::new(0);
    let server = FakeApi::start(move |asked| {
        let nth = count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        Some(answer(asked, nth))
    });
    let context = context(&server);
    let api: Api<ConfigMap> = context.cluster.namespaced("support");
    let right = |it: &ConfigMap| it.data == desired().data && it.binary_data.is_none();
    let made = context.cluster.apply_or_make_anew(&api, &desired(), right).await;
    let seen = server.seen().into_iter().map(|it| it.split(['?']).next().unwrap().to_owned());
    (seen.collect(), made.is_ok_and(|it| right(&it)))
}

#[tokio::test]
async fn item_14_one_that_somebody_made_immutable_before_the_operator_knew_it_is_made_anew() {
    let (seen, made) = make(|asked, nth| match (asked.method.as_str(), nth) {
        ("PATCH", 0) => (422, refusal(422, "field is immutable when `immutable` is set")),
        ("GET", _) => (
            200,
            map(&json!({"immutable": true, "metadata": {
                "name": "personaguard-smollm2", "finalizers": ["example.org/mine"]
            }})),
        ),
        _ => (200, map(&json!({}))),
    })
    .await;
    let expected = ["PATCH", "GET", "PATCH", "DELETE", "PATCH"].map(|it| format!("{it} {PATH}"));
    assert_eq!(seen, expected);
    assert!(made);
}

#[tokio::test]
async fn item_15_an_admission_policy_that_refuses_a_change_does_not_cost_the_object() {
    // Those refuse with 422, unless their author gives another reason.
    let (seen, made) = make(|asked, _| match asked.method.as_str() {
        "GET" => (200, map(&json!({}))),
        _ => (422, refusal(422, "ValidatingAdmissionPolicy 'sizes' denied request")),
    })
    .await;
    assert_eq!(seen, ["PATCH", "GET"].map(|it| format!("{it} {PATH}")), "nothing is deleted");
    assert!(!made);
}

#[tokio::test]
async fn item_14_what_a_server_side_apply_leaves_is_gone_afterwards() {
    let left = || {
        let file = ByteString(b"evil".to_vec());
        map(&json!({"binaryData": {"more.yaml": serde_json::to_value(file).unwrap()}}))
    };
    let (seen, made) = make(move |_, nth| match nth {
        0 => (200, left()),
        _ => (200, map(&json!({}))),
    })
    .await;
    assert_eq!(seen, ["PATCH", "DELETE", "PATCH"].map(|it| format!("{it} {PATH}")));
    assert!(made);
}
