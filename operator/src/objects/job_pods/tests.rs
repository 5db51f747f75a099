use super::*;
use serde_json::{Value, json};

/// A pod of a Job whose containers are in these states, by name.
fn pod(phase: &str, states: &Value) -> Pod {
    let status = |name: &str| {
        let mut status = json!({
            "name": name, "ready": false, "image": "i", "imageID": "", "restartCount": 1
        });
        let given = states[name].as_object().cloned().unwrap_or_default();
        given.into_iter().for_each(|(field, value)| status[field] = value);
        status
    };
    serde_json::from_value(json!({
        "metadata": { "name": "extract-1", "namespace": "system" },
        "spec": {
            "initContainers": [
                { "name": "plugin", "image": "p:1" },
                { "name": "vllm", "image": "vllm:1", "restartPolicy": "Always" }
            ],
            "containers": [{ "name": "extract", "image": "p:1" }]
        },
        "status": {
            "phase": phase,
            "initContainerStatuses": [status("plugin"), status("vllm")],
            "containerStatuses": [status("extract")]
        }
    }))
    .unwrap()
}

fn told(states: &Value) -> Option<Trouble> {
    trouble(&[pod("Pending", states)])
}

fn ended_with(code: i32, reason: &str) -> Value {
    json!({ "terminated": { "exitCode": code, "reason": reason } })
}

#[test]
fn what_keeps_vllm_from_starting_is_told() {
    let running = json!({ "running": {} });
    let cases = [
        (
            json!({ "vllm": { "state": { "waiting": {
                "reason": "ErrImagePull", "message": "no such host"
            } } } }),
            ["Image vllm:1 of container vllm", "no such host"],
        ),
        (
            json!({ "vllm": { "state": { "waiting": {
                "reason": "CreateContainerConfigError", "message": "no Secret personaguard-hub"
            } } } }),
            ["cannot be started", "no Secret personaguard-hub"],
        ),
        (
            json!({ "vllm": { "state": running, "lastState": ended_with(137, "OOMKilled") } }),
            ["OOMKilled, exit code 137", "spec.vllm"],
        ),
        (
            json!({ "vllm": { "state": ended_with(1, "Error") } }),
            ["Error, exit code 1", "kubectl -n system logs extract-1 -c vllm --previous"],
        ),
        (
            json!({ "extract": { "state": running, "lastState": ended_with(1, "Error") } }),
            ["Container extract", "exit code 1"],
        ),
    ];
    for (states, parts) in cases {
        let told = told(&states).unwrap();
        assert_eq!(told.reason, None, "{told:?}");
        for part in parts {
            assert!(told.message.contains(part), "{part} is not in {}", told.message);
        }
    }
    let mut unscheduled = pod("Pending", &json!({}));
    unscheduled.status = serde_json::from_value(json!({ "conditions": [{
        "type": "PodScheduled", "status": "False", "reason": "Unschedulable",
        "message": "0/3 nodes are available: 3 Insufficient nvidia.com/gpu."
    }] }))
    .unwrap();
    let told = trouble(&[unscheduled]).unwrap();
    assert!(told.message.contains("Insufficient nvidia.com/gpu"), "{told:?}");
}

#[test]
fn a_refusal_of_the_plugin_is_told_as_such_also_while_vllm_starts_again() {
    for state in ["state", "lastState"] {
        let told = told(&json!({ "vllm": { state: ended_with(78, "Error") } })).unwrap();
        assert_eq!(told.reason, Some("PluginRefuses"));
        assert!(told.message.contains("-c vllm --previous"), "{told:?}");
    }
}

#[test]
fn a_pod_that_gets_on_or_is_done_is_no_trouble() {
    let running = json!({ "running": {} });
    assert_eq!(told(&json!({ "vllm": { "state": running } })), None);
    // vLLM is ended after what asked it, however it takes that.
    let states = json!({
        "vllm": { "state": ended_with(143, "Error") },
        "extract": { "state": ended_with(0, "Completed") }
    });
    assert_eq!(told(&states), None);
    assert_eq!(trouble(&[pod("Succeeded", &states)]), None);
}
