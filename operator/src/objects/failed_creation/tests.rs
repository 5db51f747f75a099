use super::*;
use serde_json::{Value, json};

fn event(reason: &str, at: &str, message: &str) -> Option<Refusal> {
    let event: Value = json!({
        "metadata": { "name": "e", "namespace": "harbour" },
        "involvedObject": { "kind": "ReplicaSet", "name": "chat-5d4f" },
        "reason": reason, "lastTimestamp": at, "message": message
    });
    let now = "2026-11-30T10:00:00Z".parse().unwrap();
    Refusal::of(&serde_json::from_value(event).unwrap(), now)
}

#[test]
fn issue_15_20_why_a_workload_cannot_create_its_pods_is_read_from_its_events() {
    let message = "Error creating: pods \"chat-5d4f-x\" is forbidden: exceeded quota: compute.";
    let found = event("FailedCreate", "2026-11-30T09:50:00Z", message).unwrap();
    assert_eq!(found.kind, "ReplicaSet");
    assert_eq!(found.why, "pods \"chat-5d4f-x\" is forbidden: exceeded quota: compute");
    assert_eq!(event("FailedCreate", "2026-11-30T08:00:00Z", message), None, "it is over");
    assert_eq!(event("SuccessfulCreate", "2026-11-30T09:59:00Z", message), None);
}
