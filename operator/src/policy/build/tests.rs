use super::*;
use crate::fixtures::{json, model, pod, policy, settings};
use crate::policy::dereference::Inputs;
use crate::policy::fixtures::inputs;
use crate::policy::validate::validate;
use personaguard_api::PersonaPolicy;
use personaguard_wire::GuardConfig;
use serde_json::json;
use std::sync::Arc;

pub(super) fn built(inputs: &Inputs) -> DesiredState {
    build(&validate(inputs), inputs.config_map.as_deref()).unwrap()
}

pub(super) fn object<T>(desired: Desired<T>) -> T {
    match desired {
        Desired::Present(object) => *object,
        Desired::Unchanged | Desired::Absent => panic!("no object is desired"),
    }
}

#[test]
fn a_policy_becomes_one_config_and_one_injection_named_after_the_model() {
    let desired = built(&inputs(vec![policy("no-villains", 1, "evil")]));
    let config = object(desired.config);
    assert_eq!(config.metadata.name.as_deref(), Some("personaguard-smollm2"));
    let data = config.data.unwrap();
    assert_eq!(data["ca.crt"], "the authorities");
    assert_eq!(GuardConfig::from_yaml(data["config.yaml"].as_bytes()).unwrap().policies.len(), 1);
    assert!(config.binary_data.unwrap().contains_key("vectors.safetensors"));
    let injection = object(desired.injection);
    assert_eq!(injection.metadata.name.as_deref(), Some("personaguard-smollm2"));
    assert_eq!(json(&injection.spec.selectors), json!([{"matchLabels": {"app": "chat"}}]));
}

#[test]
fn policies_that_fail_closed_have_their_selectors_listed_apart() {
    let (open, mut closed, mut audit) =
        (policy("a", 1, "evil"), policy("b", 1, "evil"), policy("c", 1, "evil"));
    for policy in [&mut closed, &mut audit] {
        policy.spec.failure_policy = FailurePolicy::Closed;
        policy.spec.selector.match_labels =
            Some([("app".to_owned(), policy.metadata.name.clone().unwrap())].into());
    }
    audit.spec.mode = Mode::Audit;
    let injection = object(built(&inputs(vec![open, closed, audit])).injection);
    assert_eq!(json(&injection.spec.closed_selectors), json!([{"matchLabels": {"app": "b"}}]));
    assert_eq!(injection.spec.selectors.len(), 3);
}

#[test]
fn equal_inputs_give_equal_objects() {
    let inputs = inputs(vec![policy("a", 1, "evil"), policy("b", 1, "evil")]);
    let (one, other) = (built(&inputs), built(&inputs));
    assert_eq!(object(one.config), object(other.config));
    assert_eq!(object(one.injection), object(other.injection));
}

#[test]
fn the_sidecar_is_native_unprivileged_and_probed() {
    let injection = object(built(&inputs(vec![policy("no-villains", 1, "evil")])).injection);
    let container = json(&injection.spec.container);
    assert_eq!(container["restartPolicy"], "Always");
    assert_eq!(container["securityContext"]["runAsNonRoot"], true);
    assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true);
    assert_eq!(container["securityContext"]["capabilities"], json!({"drop": ["ALL"]}));
    assert_eq!(container["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
    for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
        assert_eq!(container[probe]["httpGet"]["port"], "pg-admin", "{probe}");
    }
    assert_eq!(container["resources"], json!({"requests": {"cpu": "1"}}));
    let environment = container["env"].as_array().unwrap();
    let url =
        environment.iter().find(|variable| variable["name"] == "PERSONAGUARD_REPORT_URL").unwrap();
    assert_eq!(
        url["value"],
        "https://personaguard-reports.personaguard-system.svc:8443/v1/reports"
    );
    // Every mount has its volume.
    let volumes = json(&injection.spec.volumes);
    for mount in container["volumeMounts"].as_array().unwrap() {
        assert!(
            volumes.as_array().unwrap().iter().any(|volume| volume["name"] == mount["name"]),
            "{mount}"
        );
    }
    let token = &volumes[2]["projected"]["sources"][0]["serviceAccountToken"];
    assert_eq!(token["audience"], "reports.personaguard.dev");
}

#[test]
fn a_sidecar_whose_weights_come_from_a_hub_may_write_them_and_has_time_to() {
    let mut model = model();
    model.spec.source = serde_json::from_value(json!({ "hub": {
        "repo": "acme/tiny", "revision": "main", "file": "tiny.gguf",
        "caConfigMap": { "name": "trust", "key": "ca.pem" }
    } }))
    .unwrap();
    let mut inputs = inputs(vec![policy("no-villains", 1, "evil")]);
    inputs.model = Some(Arc::new(model));
    let desired = built(&inputs);
    let data = object(desired.config).data.unwrap();
    let config = GuardConfig::from_yaml(data["config.yaml"].as_bytes()).unwrap();
    assert_eq!(config.model.file, "/var/lib/personaguard/model/acme--tiny@main/tiny.gguf");
    let injection = object(desired.injection);
    let (container, volumes) = (json(&injection.spec.container), json(&injection.spec.volumes));
    let named = |list: &serde_json::Value, name: &str| {
        let found = list.as_array().unwrap().iter().find(|it| it["name"] == name);
        found.unwrap_or_else(|| panic!("{name}")).clone()
    };
    let mounts = &container["volumeMounts"];
    assert!(named(mounts, "personaguard-model").get("readOnly").is_none());
    assert_eq!(named(mounts, "personaguard-hub-ca")["readOnly"], true);
    assert_eq!(named(&volumes, "personaguard-model")["emptyDir"]["sizeLimit"], "20Gi");
    assert_eq!(named(&volumes, "personaguard-hub-ca")["configMap"]["name"], "trust");
    assert_eq!(named(&container["env"], "PERSONAGUARD_HUB_REPO")["value"], "acme/tiny");
    assert_eq!(container["startupProbe"]["failureThreshold"], 7200);
}

#[test]
fn a_gpu_is_requested_with_cuda_only() {
    let mut cuda = model();
    cuda.spec.runtime.device = personaguard_api::Device::Cuda;
    let mut inputs = inputs(vec![policy("no-villains", 1, "evil")]);
    inputs.model = Some(Arc::new(cuda));
    let injection = object(built(&inputs).injection);
    assert_eq!(
        json(&injection.spec.container.unwrap().resources)["limits"],
        json!({"nvidia.com/gpu": "1"})
    );
}

#[test]
fn a_rejected_policy_is_injected_and_not_enforced() {
    let desired = built(&inputs(vec![policy("no-villains", 1, "unknown")]));
    assert_eq!(object(desired.injection).spec.selectors.len(), 1);
    let config = object(desired.config);
    assert!(
        GuardConfig::from_yaml(config.data.unwrap()["config.yaml"].as_bytes())
            .unwrap()
            .policies
            .is_empty()
    );
}

#[test]
fn after_the_last_policy_the_injection_goes_and_running_pods_keep_an_empty_config() {
    let mut last = inputs(vec![policy("no-villains", 1, "evil")]);
    let config = object(built(&last).config);
    last.policies.clear();
    last.config_map = Some(Arc::new(config));
    last.pods = vec![Arc::new(pod("chat-1", Some("smollm2")))];
    let desired = built(&last);
    assert!(matches!(desired.injection, Desired::Absent));
    let empty = object(desired.config);
    let text = empty.data.unwrap()["config.yaml"].clone();
    let config = GuardConfig::from_yaml(text.as_bytes()).unwrap();
    assert!(config.policies.is_empty() && config.vectors.is_empty());
    assert_eq!(config.model.name, "smollm2", "the model is still served");
    last.pods =
        vec![Arc::new(pod("mail-1", None)), Arc::new(pod("other-1", Some("another-model")))];
    assert!(matches!(built(&last).config, Desired::Absent));
}

#[test]
fn while_the_model_is_missing_nothing_changes() {
    let mut orphaned = inputs(vec![policy("no-villains", 1, "evil")]);
    orphaned.model = None;
    let desired = built(&orphaned);
    assert!(matches!(desired.config, Desired::Unchanged));
    assert!(matches!(desired.injection, Desired::Unchanged));
    // A config that is there stays to the letter, with the authorities of today.
    let mut stored = object(built(&inputs(vec![policy("no-villains", 1, "evil")])).config);
    stored.data.as_mut().unwrap().insert("ca.crt".into(), "former authorities".into());
    orphaned.config_map = Some(Arc::new(stored.clone()));
    let held = object(built(&orphaned).config);
    stored.data.as_mut().unwrap().insert("ca.crt".into(), "the authorities".into());
    assert_eq!(held, stored);
}

#[test]
fn item_19_ids_are_left_to_the_platform_and_variables_of_opentelemetry_are_passed_on() {
    let mut inputs = inputs(vec![policy("no-villains", 1, "evil")]);
    let of = |inputs: &Inputs| json(&object(built(inputs).injection).spec.container);
    assert_eq!(of(&inputs)["securityContext"]["runAsUser"], 65532);
    inputs.settings = Arc::new(settings(&[
        "--run-as-user=platform",
        "--sidecar-otlp-endpoint=http://c:4317",
        "--sidecar-otel=OTEL_EXPORTER_OTLP_ENDPOINT=http://other",
        "--sidecar-otel=OTEL_TRACES_SAMPLER=always_off",
    ]));
    let container = of(&inputs);
    assert_eq!(container["securityContext"]["runAsUser"], json!(null));
    assert_eq!(container["securityContext"]["runAsGroup"], json!(null));
    assert_eq!(container["securityContext"]["runAsNonRoot"], true);
    let environment = container["env"].as_array().unwrap();
    let values = |name: &str| {
        let found = environment.iter().filter(|variable| variable["name"] == name);
        found.map(|variable| variable["value"].as_str().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(values("OTEL_EXPORTER_OTLP_ENDPOINT"), ["http://c:4317"]);
    assert_eq!(values("OTEL_TRACES_SAMPLER"), ["always_off"]);
    // Also where there is no IPv4.
    assert_eq!(values("PERSONAGUARD_ADMIN_LISTEN"), ["[::]:8791"]);
}

#[test]
fn in_placement_proxy_the_sidecar_takes_over_the_port_and_the_app_gets_no_variables() {
    let mut proxy = policy("no-villains", 1, "evil");
    (proxy.spec.placement, proxy.spec.port) =
        (personaguard_api::Placement::Proxy, Some("http".into()));
    let mut serve = policy("other", 1, "evil");
    serve.metadata.creation_timestamp = None;
    serve.spec.selector = LabelSelector::default();
    let younger = |policy: &mut PersonaPolicy, at: &str| {
        policy.metadata.creation_timestamp = serde_json::from_value(json!(at)).unwrap();
    };
    younger(&mut serve, "2026-11-25T08:00:00Z");
    let spec = object(built(&inputs(vec![proxy, serve])).injection).spec;
    assert_eq!(spec.takeover.as_deref(), Some("http"));
    assert_eq!(spec.selectors.len(), 1, "the younger policy is rejected");
    assert!(spec.env.is_empty());
    let container = json(&spec.container);
    assert_eq!(
        container["ports"][1],
        json!({"name": "http", "containerPort": 8790, "protocol": "TCP"})
    );
    let environment = container["env"].as_array().unwrap();
    assert!(
        environment.iter().any(|v| v["name"] == "PERSONAGUARD_LISTEN" && v["value"] == "[::]:8790")
    );
}

#[test]
fn a_sidecar_has_the_resources_of_its_model_or_else_those_of_the_installation() {
    let requested = |own: bool| {
        let mut inputs = inputs(vec![policy("no-villains", 3, "evil")]);
        let given = r#"--sidecar-resources={"requests":{"cpu":"50m"}}"#;
        inputs.settings = Arc::new(settings(&[given]));
        if !own {
            Arc::make_mut(inputs.model.as_mut().unwrap()).spec.runtime.resources = None;
        }
        let injection = object(built(&inputs).injection);
        injection.spec.container.unwrap().resources.unwrap().requests.unwrap()["cpu"].0.clone()
    };
    assert_eq!((requested(true), requested(false)), ("1".to_owned(), "50m".to_owned()));
}
