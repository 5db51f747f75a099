use super::*;
use crate::policy::fixtures::{inputs, json, model, pod, policy, settings};
use crate::policy::validate::validate;
use serde_json::json;
use std::sync::Arc;

fn built(inputs: &Inputs) -> Desired {
    desired(&settings(&[]), "the authorities", inputs, &validate(inputs)).unwrap()
}

fn exactly<T>(wanted: Wanted<T>) -> T {
    match wanted {
        Wanted::Exactly(object) => *object,
        Wanted::Unchanged | Wanted::Absent => panic!("nothing is wanted"),
    }
}

#[test]
fn a_policy_becomes_one_config_and_one_injection_named_after_the_model() {
    let desired = built(&inputs(vec![policy("no-villains", 1, "evil")]));
    let config = exactly(desired.config);
    assert_eq!(config.metadata.name.as_deref(), Some("personaguard-smollm2"));
    let data = config.data.unwrap();
    assert_eq!(data["ca.crt"], "the authorities");
    assert_eq!(GuardConfig::from_yaml(data["config.yaml"].as_bytes()).unwrap().policies.len(), 1);
    assert!(config.binary_data.unwrap().contains_key("vectors.safetensors"));
    let injection = exactly(desired.injection);
    assert_eq!(injection.metadata.name.as_deref(), Some("personaguard-smollm2"));
    assert_eq!(json(&injection.spec.selectors), json!([{"matchLabels": {"app": "chat"}}]));
}

#[test]
fn pods_of_policies_that_fail_closed_are_held_to_their_sidecar() {
    let (open, mut closed, mut audit) =
        (policy("a", 1, "evil"), policy("b", 1, "evil"), policy("c", 1, "evil"));
    for policy in [&mut closed, &mut audit] {
        policy.spec.failure_policy = FailurePolicy::Closed;
        policy.spec.selector.match_labels =
            Some([("app".to_owned(), policy.metadata.name.clone().unwrap())].into());
    }
    audit.spec.mode = Mode::Audit;
    let injection = exactly(built(&inputs(vec![open, closed, audit])).injection);
    assert_eq!(json(&injection.spec.closed_selectors), json!([{"matchLabels": {"app": "b"}}]));
    assert_eq!(injection.spec.selectors.len(), 3);
}

#[test]
fn equal_inputs_give_equal_objects() {
    let inputs = inputs(vec![policy("a", 1, "evil"), policy("b", 1, "evil")]);
    let (one, other) = (built(&inputs), built(&inputs));
    assert_eq!(exactly(one.config), exactly(other.config));
    assert_eq!(exactly(one.injection), exactly(other.injection));
}

#[test]
fn the_sidecar_is_native_restricted_and_probed() {
    let injection = exactly(built(&inputs(vec![policy("no-villains", 1, "evil")])).injection);
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
fn a_gpu_is_asked_for_with_cuda_only() {
    let mut cuda = model();
    cuda.spec.runtime.device = personaguard_api::Device::Cuda;
    let mut inputs = inputs(vec![policy("no-villains", 1, "evil")]);
    inputs.model = Some(Arc::new(cuda));
    let injection = exactly(built(&inputs).injection);
    assert_eq!(json(&injection.spec.container.resources)["limits"], json!({"nvidia.com/gpu": "1"}));
}

#[test]
fn a_policy_that_is_not_accepted_is_injected_for_and_enforced_by_nobody() {
    let desired = built(&inputs(vec![policy("no-villains", 1, "unknown")]));
    assert_eq!(exactly(desired.injection).spec.selectors.len(), 1);
    let config = exactly(desired.config);
    assert!(
        GuardConfig::from_yaml(config.data.unwrap()["config.yaml"].as_bytes())
            .unwrap()
            .policies
            .is_empty()
    );
}

#[test]
fn with_the_last_policy_the_injection_goes_and_the_config_stays_empty_for_pods_that_run() {
    let mut last = inputs(vec![policy("no-villains", 1, "evil")]);
    let config = exactly(built(&last).config);
    last.policies.clear();
    last.config_map = Some(Arc::new(config));
    last.pods = vec![Arc::new(pod("chat-1", Some("smollm2")))];
    let desired = built(&last);
    assert!(matches!(desired.injection, Wanted::Absent));
    let empty = exactly(desired.config);
    let text = empty.data.unwrap()["config.yaml"].clone();
    let config = GuardConfig::from_yaml(text.as_bytes()).unwrap();
    assert!(config.policies.is_empty() && config.vectors.is_empty());
    assert_eq!(config.model.name, "smollm2", "the model is served on");
    last.pods =
        vec![Arc::new(pod("mail-1", None)), Arc::new(pod("other-1", Some("another-model")))];
    assert!(matches!(built(&last).config, Wanted::Absent));
}

#[test]
fn while_the_model_is_missing_nothing_is_taken_away() {
    let mut orphaned = inputs(vec![policy("no-villains", 1, "evil")]);
    orphaned.model = None;
    let desired = built(&orphaned);
    assert!(matches!(desired.config, Wanted::Unchanged));
    assert!(matches!(desired.injection, Wanted::Unchanged));
}

#[test]
fn in_placement_proxy_the_sidecar_has_the_apps_port_and_the_app_no_variables() {
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
    let spec = exactly(built(&inputs(vec![proxy, serve])).injection).spec;
    assert_eq!(spec.takeover.as_deref(), Some("http"));
    assert_eq!(spec.selectors.len(), 1, "the younger policy is refused");
    assert!(spec.env.is_empty());
    let container = json(&spec.container);
    assert_eq!(
        container["ports"][1],
        json!({"name": "http", "containerPort": 8790, "protocol": "TCP"})
    );
    let environment = container["env"].as_array().unwrap();
    assert!(
        environment
            .iter()
            .any(|v| v["name"] == "PERSONAGUARD_LISTEN" && v["value"] == "0.0.0.0:8790")
    );
}
