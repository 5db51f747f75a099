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
    of(json!([{ "name": "app", "env": env }]), json!({})).own_server.map(|it| it.container)
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
    let own =
        |annotations: Value| of(containers.clone(), annotations).own_server.map(|it| it.container);
    assert_eq!(own(json!({})).as_deref(), Some("telemetry"));
    assert_eq!(own(json!({ "personaguard.dev/containers": "app" })), None);
    assert!(own(json!({ "personaguard.dev/containers": "app, telemetry" })).is_some());
}

#[test]
fn issue_15_20_relatives_of_the_variable_and_flags_count_as_well() {
    let by = |container: Value| {
        let mut container = container;
        container["name"] = json!("app");
        of(json!([container]), json!({})).own_server.map(|it| it.by)
    };
    let env = |name: &str, value: &str| json!({ "env": [{ "name": name, "value": value }] });
    for name in [
        "OPENAI_API_BASE",
        "OPENAI_API_BASE_URL",
        "AZURE_OPENAI_ENDPOINT",
        "ANTHROPIC_BASE_URL",
        "OLLAMA_BASE_URL",
        "LLM_API_BASE",
    ] {
        assert_eq!(by(env(name, "https://api.example/v1")).as_deref(), Some(name));
        assert_eq!(by(env(name, "http://127.0.0.1:8790/v1")), None, "{name}");
        assert_eq!(by(env(name, "")), None, "{name}");
    }
    for other in ["BASE_URL", "PUBLIC_API_URL", "OPENAI_API_KEY", "LLM_CALLBACK_URL"] {
        assert_eq!(by(env(other, "https://app.example")), None, "{other}");
    }
    let url = "https://api.example/v1";
    for (args, expected) in [
        (json!(["--openai-api-base", url]), Some("--openai-api-base")),
        (json!([format!("--openai-base-url={url}")]), Some("--openai-base-url")),
        (json!([format!("--api-base={url}")]), Some("--api-base")),
        (json!(["-c", format!("OPENAI_BASE_URL='{url}' exec app")]), Some("OPENAI_BASE_URL")),
        (json!(["--openai-api-base=http://localhost:8790/v1"]), None),
        (json!([format!("--base-url={url}")]), None),
        (json!(["--openai-api-base"]), None),
    ] {
        assert_eq!(by(json!({ "args": args })).as_deref(), expected, "{args}");
    }
}

#[test]
fn issue_15_20_an_annotation_that_names_no_container_of_the_pod_is_found() {
    let nobody = |list: &str| {
        let annotations = json!({ "personaguard.dev/containers": list });
        of(json!([{ "name": "app" }]), annotations).nobody_told
    };
    assert_eq!(nobody("app"), None);
    assert_eq!(nobody("web, app"), None);
    assert_eq!(nobody("web,api").as_deref(), Some("web, api"));
}

#[test]
fn issue_15_20_what_runs_as_a_native_sidecar_has_ports_as_well() {
    let pod = json!({
        "metadata": { "name": "a" },
        "spec": {
            "containers": [{ "name": "app", "ports": [{ "containerPort": 8000 }] }],
            "initContainers": [
                { "name": "once", "ports": [{ "containerPort": 1 }] },
                { "name": "personaguard", "restartPolicy": "Always",
                  "ports": [{ "containerPort": 8791 }] },
                { "name": "front", "restartPolicy": "Always",
                  "ports": [{ "name": "front", "containerPort": 8012 }] }
            ]
        }
    });
    let app = AppContainers::of(&serde_json::from_value(pod).unwrap());
    let ports: Vec<_> = app.ports.iter().map(|it| (it.container.as_str(), it.number)).collect();
    assert_eq!(ports, [("app", 8000), ("front", 8012)]);
    assert_eq!(app.conflict, None);
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
