use super::*;
use serde_json::{Value, json};

#[allow(clippy::needless_pass_by_value, reason = "every caller makes it on the spot")]
fn pod(status: Value) -> Pod {
    let container = json!({ "name": "personaguard", "image": "mirror.example/personaguard:1" });
    serde_json::from_value(json!({
        "metadata": { "name": "a" },
        "spec": { "containers": [], "initContainers": [container] },
        "status": status
    }))
    .unwrap()
}

#[allow(clippy::needless_pass_by_value, reason = "every caller makes it on the spot")]
fn start(state: Value) -> SidecarStart {
    SidecarStart::of(&pod(json!({ "initContainerStatuses": [{
        "name": "personaguard", "image": "i", "imageID": "", "ready": false, "restartCount": 2,
        "state": state
    }] })))
}

fn waiting(reason: &str, message: &str) -> SidecarStart {
    start(json!({ "waiting": { "reason": reason, "message": message } }))
}

#[test]
fn issue_15_20_what_keeps_a_sidecar_from_starting_is_told() {
    let unavailable = |why: &str| SidecarStart::ImageUnavailable {
        image: "mirror.example/personaguard:1".into(),
        why: why.into(),
    };
    assert_eq!(waiting("ErrImagePull", "no such host."), unavailable("ErrImagePull: no such host"));
    assert_eq!(waiting("ImagePullBackOff", "a\n b"), unavailable("ImagePullBackOff: a b"));
    assert_eq!(
        waiting("CreateContainerConfigError", "no Secret x"),
        SidecarStart::Blocked("CreateContainerConfigError: no Secret x".into())
    );
    assert_eq!(waiting("PodInitializing", ""), SidecarStart::Pending);
    assert_eq!(start(json!({ "running": {} })), SidecarStart::Running);
    assert_eq!(
        start(json!({ "terminated": { "exitCode": 137, "reason": "OOMKilled" } })),
        SidecarStart::Crashed("OOMKilled, exit code 137".into())
    );
    let unscheduled = pod(json!({ "conditions": [{
        "type": "PodScheduled", "status": "False", "reason": "Unschedulable",
        "message": "0/3 nodes are available: 3 Insufficient memory."
    }] }));
    assert_eq!(
        SidecarStart::of(&unscheduled),
        SidecarStart::Unscheduled("0/3 nodes are available: 3 Insufficient memory".into())
    );
    assert_eq!(SidecarStart::of(&pod(json!({}))), SidecarStart::Pending);
    assert_eq!(
        waiting("ErrImagePull", &"x".repeat(9000)),
        unavailable(&format!("ErrImagePull: {}", "x".repeat(MAX_WORDS)))
    );
}

#[test]
fn issue_15_16_a_container_of_the_sidecars_name_is_not_for_that_the_sidecar() {
    let mount = json!({ "name": "personaguard-config", "mountPath": "/etc/personaguard/config" });
    let injected = json!({
        "name": "personaguard", "image": "i", "restartPolicy": "Always", "args": ["serve"],
        "volumeMounts": [mount]
    });
    let judged =
        |container: &Value| is_sidecar(&serde_json::from_value(container.clone()).unwrap());
    assert!(judged(&injected));
    for (field, value) in [
        ("name", json!("other")),
        ("restartPolicy", Value::Null),
        ("args", json!(["serve", "--config=/mine"])),
        ("args", json!(["help"])),
        ("command", json!(["sleep", "infinity"])),
        ("volumeMounts", json!([])),
        ("volumeMounts", json!([{ "name": "mine", "mountPath": "/etc/personaguard/config" }])),
    ] {
        let mut other = injected.clone();
        other[field] = value.clone();
        assert!(!judged(&other), "{field} {value}");
    }
    let spec = |spec: Value| namesake(&serde_json::from_value(spec).unwrap());
    assert_eq!(spec(json!({ "containers": [], "initContainers": [injected] })), None);
    let app = json!({ "name": "personaguard", "image": "mine" });
    assert_eq!(spec(json!({ "containers": [app] })).as_deref(), Some("mine"));
    assert_eq!(spec(json!({ "containers": [{ "name": "app" }] })), None);
}
