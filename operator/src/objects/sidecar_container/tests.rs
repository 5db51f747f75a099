use super::*;
use serde_json::{Value, json};

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
