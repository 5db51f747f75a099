use super::*;
use crate::fixtures::{policy, report};
use crate::policy::status::guarded::classify;
use k8s_openapi::api::core::v1::Pod;
use personaguard_api::{Failure, PodCounts, PodState};
use serde_json::{Value, json};

fn engine_policy() -> PersonaPolicy {
    let mut policy = policy("no-villains", 1, "evil");
    (policy.spec.placement, policy.spec.port) = (Placement::Engine, Some("http".into()));
    policy
}

/// A pod whose container `vllm` is in this state.
fn guarded_pod(status: &Value) -> PodView {
    let sidecar = json!({
        "name": "personaguard", "restartPolicy": "Always", "args": ["serve"],
        "env": [{ "name": "PERSONAGUARD_UPSTREAM", "value": "http://127.0.0.1:8000" }],
        "volumeMounts": [
            { "name": "personaguard-config", "mountPath": "/etc/personaguard/config" }
        ]
    });
    view(json!({
        "metadata": { "name": "chat-1", "uid": "uid-chat-1" },
        "spec": {
            "initContainers": [sidecar],
            "containers": [
                { "name": "exporter", "ports": [{ "containerPort": 9000 }] },
                { "name": "vllm", "ports": [{ "containerPort": 8000 }] }
            ],
            "volumes": [{
                "name": "personaguard-config", "configMap": { "name": "personaguard-smollm2" }
            }]
        },
        "status": { "containerStatuses": [status] }
    }))
}

fn view(pod: Value) -> PodView {
    PodView::from(serde_json::from_value::<Pod>(pod).unwrap())
}

fn status(ready: bool, exit_code: Option<i32>) -> Value {
    let mut status = json!({
        "name": "vllm", "ready": ready, "image": "vllm", "imageID": "", "restartCount": 1
    });
    if let Some(code) = exit_code {
        status["lastState"] = json!({ "terminated": { "exitCode": code } });
    }
    status
}

fn unconnected() -> PodCounts {
    let mut report = report("chat-1", &[]);
    report.state = PodState::Failed;
    report.failure = Some(Failure {
        reason: reason::ENGINE_NOT_CONNECTED.into(),
        message: "the plugin has not connected".into(),
    });
    report
}

fn found(pod: &PodView, report: Option<&PodCounts>) -> Option<(String, String)> {
    problem(&engine_policy(), &[classify(pod, report, "smollm2", None, None)])
}

#[test]
fn a_server_whose_plugin_has_not_connected_is_named_with_what_must_be_passed_on() {
    for (ready, says) in [(true, "it is ready"), (false, "it may be loading its model")] {
        let pod = guarded_pod(&status(ready, None));
        let (reason, message) = found(&pod, Some(&unconnected())).unwrap();
        assert_eq!(reason, reason::ENGINE_NOT_CONNECTED);
        for part in
            [says, "container vllm", "PYTHONPATH", "PERSONAGUARD_SOCKET", "VLLM_PLUGINS", "chat-1"]
        {
            assert!(message.contains(part), "{part}: {message}");
        }
    }
    let mut crashing = status(false, Some(1));
    crashing["state"] = json!({ "waiting": { "reason": "CrashLoopBackOff" } });
    let (_, message) = found(&guarded_pod(&crashing), Some(&unconnected())).unwrap();
    assert!(message.contains("ending again and again"), "{message}");
    let pod = guarded_pod(&status(true, None));
    assert_eq!(found(&pod, Some(&report("chat-1", &[]))), None, "it has");
    let mut refuses = unconnected();
    refuses.failure.as_mut().unwrap().reason = reason::ENGINE_REFUSES.into();
    assert_eq!(found(&pod, Some(&refuses)), None, "the sidecar's own words are told");
}

#[test]
fn a_server_that_the_plugin_ended_is_told_as_such_until_it_runs() {
    let (reason, message) =
        found(&guarded_pod(&status(false, Some(78))), Some(&unconnected())).unwrap();
    assert_eq!(reason, reason::PLUGIN_REFUSES);
    assert!(message.contains("kubectl logs chat-1 -c vllm --previous"), "{message}");
    let other = found(&guarded_pod(&status(false, Some(1))), Some(&unconnected())).unwrap();
    assert_eq!(other.0, reason::ENGINE_NOT_CONNECTED);
    assert_eq!(found(&guarded_pod(&status(true, Some(78))), None), None, "it runs again");
}

#[test]
fn a_pod_that_cannot_be_given_the_plugin_is_told_what_to_change() {
    let pod = |port: &str, more: Value| {
        let mut container = json!({
            "name": "vllm", "ports": [{ "name": port, "containerPort": 8000 }]
        });
        container.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        view(json!({ "metadata": { "name": "chat-1" }, "spec": { "containers": [container] } }))
    };
    let reference = json!({ "configMapKeyRef": { "name": "a", "key": "b" } });
    let mount = |path: &str| json!({ "volumeMounts": [{ "name": "m", "mountPath": path }] });
    let from = |name: &str| json!({ "env": [{ "name": name, "valueFrom": reference }] });
    for (more, says) in [
        (mount("/run/personaguard"), "mount it elsewhere"),
        (mount("/run/personaguard/plugin"), "mount it elsewhere"),
        (from("PYTHONPATH"), "give it as a value"),
        (from("VLLM_PLUGINS"), "give it as a value"),
    ] {
        let (reason, message) = found(&pod("http", more.clone()), None).unwrap();
        assert_eq!(reason, reason::CONTAINER_NOT_JOINED);
        assert!(message.contains(says) && message.contains("vllm"), "{message}");
        assert_eq!(found(&pod("other", more), None), None, "its port is another");
    }
    for more in [mount("/run/personaguard-2"), mount("/run"), from("HF_TOKEN"), json!({})] {
        assert_eq!(found(&pod("http", more), None), None);
    }
}
