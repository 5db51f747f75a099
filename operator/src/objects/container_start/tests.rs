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
fn start(state: Value) -> ContainerStart {
    ContainerStart::of(
        &pod(json!({ "initContainerStatuses": [{
        "name": "personaguard", "image": "i", "imageID": "", "ready": false, "restartCount": 2,
        "state": state
    }] })),
        "personaguard",
    )
}

fn waiting(reason: &str, message: &str) -> ContainerStart {
    start(json!({ "waiting": { "reason": reason, "message": message } }))
}

#[test]
fn issue_15_20_what_keeps_a_sidecar_from_starting_is_told() {
    let unavailable = |why: &str| ContainerStart::ImageUnavailable {
        image: "mirror.example/personaguard:1".into(),
        why: why.into(),
    };
    assert_eq!(waiting("ErrImagePull", "no such host."), unavailable("ErrImagePull: no such host"));
    assert_eq!(waiting("ImagePullBackOff", "a\n b"), unavailable("ImagePullBackOff: a b"));
    assert_eq!(
        waiting("CreateContainerConfigError", "no Secret x"),
        ContainerStart::Blocked("CreateContainerConfigError: no Secret x".into())
    );
    assert_eq!(waiting("PodInitializing", ""), ContainerStart::Pending);
    assert_eq!(start(json!({ "running": {} })), ContainerStart::Running);
    assert_eq!(
        start(json!({ "terminated": { "exitCode": 137, "reason": "OOMKilled" } })),
        ContainerStart::Crashed("OOMKilled, exit code 137".into())
    );
    let unscheduled = pod(json!({ "conditions": [{
        "type": "PodScheduled", "status": "False", "reason": "Unschedulable",
        "message": "0/3 nodes are available: 3 Insufficient memory."
    }] }));
    assert_eq!(
        ContainerStart::of(&unscheduled, "personaguard"),
        ContainerStart::Unscheduled("0/3 nodes are available: 3 Insufficient memory".into())
    );
    assert_eq!(ContainerStart::of(&pod(json!({})), "personaguard"), ContainerStart::Pending);
    assert_eq!(
        waiting("ErrImagePull", &"x".repeat(9000)),
        unavailable(&format!("ErrImagePull: {}", "x".repeat(MAX_WORDS)))
    );
}
