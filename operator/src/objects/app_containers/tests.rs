use super::*;
use serde_json::{Value, json};

#[allow(clippy::needless_pass_by_value, reason = "every caller makes it on the spot")]
fn of(containers: Value, annotations: Value) -> AppContainers {
    let pod = json!({
        "metadata": { "name": "a", "annotations": annotations },
        "spec": { "containers": containers }
    });
    AppContainers::of(&serde_json::from_value(pod).unwrap())
}

#[allow(clippy::needless_pass_by_value, reason = "every caller makes it on the spot")]
fn told(env: Value) -> Option<String> {
    of(json!([{ "name": "app", "env": env }]), json!({})).own_server
}

#[test]
fn issue_15_20_an_app_that_is_told_of_another_server_is_found() {
    let url = |value: &str| json!([{ "name": "OPENAI_BASE_URL", "value": value }]);
    for sidecar in [
        "http://127.0.0.1:8790/v1",
        "http://localhost:8790/v1/",
        "http://[::1]:8790",
        " http://127.0.0.1:8790/v1",
    ] {
        assert_eq!(told(url(sidecar)), None, "{sidecar}");
    }
    for other in [
        "http://gateway.harbour.svc/v1",
        "http://127.0.0.1:8000/v1",
        "https://127.0.0.1:8790/v1",
        "http://127.0.0.1:8790.evil.example/v1",
        "http://127.0.0.1:8790@evil.example/v1",
        "http://evil.example:8790/v1",
        "",
    ] {
        assert!(told(url(other)).is_some(), "{other}");
    }
    assert_eq!(told(json!([])), None, "it cannot be seen, and the sidecar sees no request");
    let from = json!({ "configMapKeyRef": { "name": "c", "key": "k" } });
    assert!(told(json!([{ "name": "OPENAI_BASE_URL", "valueFrom": from }])).is_some());
    // The last of two counts.
    let twice = json!([
        { "name": "OPENAI_BASE_URL", "value": "http://127.0.0.1:8790/v1" },
        { "name": "OPENAI_BASE_URL", "value": "http://elsewhere/v1" }
    ]);
    assert!(told(twice).is_some());
}

#[test]
fn issue_15_20_the_annotation_says_which_containers_are_meant() {
    let elsewhere = json!([{ "name": "OPENAI_BASE_URL", "value": "http://elsewhere/v1" }]);
    let containers = json!([{ "name": "app" }, { "name": "telemetry", "env": elsewhere }]);
    let own = |annotations: Value| of(containers.clone(), annotations).own_server;
    assert_eq!(own(json!({})).as_deref(), Some("telemetry"));
    assert_eq!(own(json!({ "personaguard.dev/containers": "app" })), None);
    assert!(own(json!({ "personaguard.dev/containers": "app, telemetry" })).is_some());
}

#[test]
fn issue_15_20_a_port_of_the_sidecar_that_the_app_wants_is_found() {
    let ports = |ports: Value| of(json!([{ "name": "app", "ports": ports }]), json!({})).conflict;
    assert_eq!(ports(json!([{ "containerPort": 8080 }])), None);
    for number in [8790, 8791] {
        let found = ports(json!([{ "containerPort": 80 }, { "containerPort": number }]));
        assert_eq!(found, Some(("app".to_owned(), number)));
    }
}
