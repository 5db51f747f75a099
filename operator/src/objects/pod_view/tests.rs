use super::*;
use serde_json::json;

fn view(pod: serde_json::Value) -> PodView {
    PodView::from(serde_json::from_value::<Pod>(pod).unwrap())
}

fn sidecar() -> serde_json::Value {
    json!({
        "name": "personaguard", "restartPolicy": "Always", "args": ["serve"],
        "volumeMounts": [
            {"name": "personaguard-config", "mountPath": "/etc/personaguard/config"}
        ]
    })
}

#[test]
fn the_sidecar_and_its_model_are_recognised() {
    let pod = view(json!({
        "metadata": {
            "namespace": "support", "name": "chat-1", "uid": "u", "labels": {"app": "chat"},
            "ownerReferences": [{
                "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "chat", "uid": "r",
                "controller": true
            }]
        },
        "spec": {
            "containers": [{"name": "app"}],
            "initContainers": [sidecar()],
            "volumes": [
                {"name": "other", "configMap": {"name": "other"}},
                {"name": "prompts", "configMap": {"name": "personaguard-prompts"}},
                {"name": "personaguard-config", "configMap": {"name": "personaguard-smollm2"}}
            ]
        }
    }));
    assert_eq!(pod.sidecar.as_deref(), Some("smollm2"));
    assert_eq!(pod.owner.unwrap().kind, "ReplicaSet");
    assert_eq!(pod.exempt, None);
}

#[test]
fn issue_15_19_an_apps_own_config_map_is_not_taken_for_a_model() {
    for volumes in [
        json!([{"name": "p", "configMap": {"name": "personaguard-prompts"}}]),
        // Under the name of ours, without a sidecar that reads it.
        json!([{"name": "personaguard-config", "configMap": {"name": "personaguard-prompts"}}]),
    ] {
        let spec = json!({"containers": [{"name": "app"}], "volumes": volumes});
        let pod = view(json!({"metadata": {"name": "a"}, "spec": spec}));
        assert_eq!(pod.sidecar, None);
    }
    let mut other = sidecar();
    other["args"] = json!(["help"]);
    let spec = json!({
        "containers": [{"name": "app"}], "initContainers": [other],
        "volumes": [{"name": "personaguard-config", "configMap": {"name": "personaguard-m"}}]
    });
    let pod = view(json!({"metadata": {"name": "a"}, "spec": spec}));
    assert_eq!((pod.sidecar, pod.namesake.as_deref()), (None, Some("")));
}

#[test]
fn the_apps_port_is_the_one_the_api_server_gave_the_sidecar() {
    let pod = |upstream: &str| {
        let mut sidecar = sidecar();
        sidecar["env"] = json!([{"name": "PERSONAGUARD_UPSTREAM", "value": upstream}]);
        let ports = json!([
            {"containerPort": 8000, "hostPort": 80},
            {"containerPort": 8000, "name": "also"},
            {"containerPort": 9, "name": "other"}
        ]);
        view(json!({
            "metadata": {"name": "a"},
            "spec": {
                "initContainers": [sidecar],
                "containers": [{"name": "app", "ports": ports}]
            }
        }))
    };
    let known = AppPort { number: 8000, names: vec!["also".into()], host_port: Some(80) };
    assert_eq!(pod("http://127.0.0.1:8000").app_port, Some(known));
    assert_eq!(pod("nonsense").app_port, None);
}

#[test]
fn a_pod_that_is_never_injected_says_why() {
    let mut pod = json!({"metadata": {"name": "a"}, "spec": {"containers": []}});
    let plain = view(pod.clone());
    assert_eq!((plain.sidecar, plain.exempt), (None, None));
    pod["spec"]["hostNetwork"] = json!(true);
    assert!(view(pod.clone()).exempt.is_some());
    pod["spec"]["hostNetwork"] = json!(false);
    pod["metadata"]["annotations"] = json!({"personaguard.dev/inject": "false"});
    assert!(view(pod).exempt.is_some());
}
