//! Placement Engine.

use super::tests::{built, object};
use super::*;
use crate::fixtures::{json, model, policy, settings};
use crate::policy::dereference::Inputs;
use crate::policy::fixtures::inputs;
use crate::policy::validate::validate;
use personaguard_api::{PersonaModel, Placement};
use personaguard_wire::GuardConfig;
use serde_json::{Value, json};

fn vllm_model() -> PersonaModel {
    let mut model = model();
    (model.spec.engine, model.spec.source) = (ModelEngine::Vllm, None);
    model
}

fn engine_policy(name: &str) -> PersonaPolicy {
    let mut policy = policy(name, 1, "evil");
    (policy.spec.placement, policy.spec.port) = (Placement::Engine, Some("http".into()));
    policy
}

fn engine_inputs(policies: Vec<PersonaPolicy>) -> Inputs {
    let mut inputs = inputs(policies);
    inputs.model = Some(Arc::new(vllm_model()));
    inputs
}

fn named<'a>(list: &'a Value, name: &str) -> Option<&'a Value> {
    list.as_array().unwrap().iter().find(|it| it["name"] == name)
}

#[test]
fn in_placement_engine_the_sidecar_has_no_weights_and_shares_a_folder_with_the_server() {
    let mut inputs = engine_inputs(vec![engine_policy("no-villains")]);
    let runtime = &mut Arc::make_mut(inputs.model.as_mut().unwrap()).spec.runtime;
    (runtime.device, runtime.gpus) = (personaguard_api::Device::Cuda, Some(4));
    let desired = built(&inputs);
    let spec = object(desired.injection).spec;
    assert_eq!(spec.takeover.as_deref(), Some("http"));
    assert!(spec.env.is_empty());
    let (container, volumes) = (json(&spec.container), json(&spec.volumes));
    let mounts = &container["volumeMounts"];
    assert!(named(mounts, "personaguard-model").is_none(), "{mounts}");
    let engine = json!({ "name": "personaguard-engine", "mountPath": "/run/personaguard" });
    assert_eq!(named(mounts, "personaguard-engine"), Some(&engine));
    assert!(named(&volumes, "personaguard-model").is_none(), "{volumes}");
    assert!(named(&volumes, "personaguard-engine").unwrap()["emptyDir"].is_object());
    for mount in mounts.as_array().unwrap() {
        assert!(named(&volumes, mount["name"].as_str().unwrap()).is_some(), "{mount}");
    }
    let value = |name: &str| named(&container["env"], name).unwrap()["value"].clone();
    assert_eq!(value("PERSONAGUARD_ENGINE_SOCKET"), "/run/personaguard/engine.sock");
    assert_eq!(value("PERSONAGUARD_PLUGIN_DIR"), "/run/personaguard/plugin");
    assert_eq!(value("PERSONAGUARD_LISTEN"), "[::]:8790");
    // vLLM starts after it, so it cannot wait for vLLM's plugin.
    assert_eq!(container["startupProbe"]["httpGet"]["path"], "/healthz");
    assert_eq!(container["readinessProbe"]["httpGet"]["path"], "/readyz");
    assert!(container["resources"].get("limits").is_none(), "the GPUs are vLLM's");
    let data = object(desired.config).data.unwrap();
    let config = GuardConfig::from_yaml(data["config.yaml"].as_bytes()).unwrap();
    assert_eq!((config.model.file.as_str(), config.policies.len()), ("", 1));
}

/// The cases of the admission policy are made with what is written here.
#[test]
fn what_a_model_server_gets_is_what_the_admission_tests_give_it() {
    let spec = object(built(&engine_inputs(vec![engine_policy("a")])).injection).spec;
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/admission/engine.yaml");
    let text = std::fs::read_to_string(path).unwrap();
    let cases: Value = serde_saphyr::from_str(&text).unwrap();
    assert_eq!(json(&spec.server), cases["server"]);
}

#[test]
fn without_vllm_a_model_server_gets_nothing() {
    let mut proxy = engine_policy("a");
    proxy.spec.placement = Placement::Proxy;
    let spec = object(built(&inputs(vec![proxy])).injection).spec;
    assert_eq!((spec.takeover.as_deref(), spec.server), (Some("http"), None));
}

/// A sidecar that waits for a plugin, or one without weights, would guard nothing.
#[test]
fn nothing_is_injected_for_a_placement_that_does_not_go_with_the_models_engine() {
    let mut closed = engine_policy("a");
    closed.spec.failure_policy = FailurePolicy::Closed;
    let validated = validate(&inputs(vec![closed.clone()]));
    assert_eq!(validated.rejected["a"].reason, "PlacementInvalid");
    let injection = object(built(&inputs(vec![closed])).injection).spec;
    assert_eq!((injection.container, injection.selectors.len()), (None, 0));
    assert_eq!(injection.closed_selectors.len(), 1, "no pod of it starts");
    let serve = engine_inputs(vec![policy("a", 1, "evil")]);
    assert_eq!(validate(&serve).rejected["a"].reason, "PlacementInvalid");
    assert!(matches!(built(&serve).injection, Desired::Absent));
}

/// Pods run with sidecars that were made for the former engine.
#[test]
fn a_model_that_comes_back_with_another_engine_changes_nothing_in_force() {
    let mut inputs = inputs(vec![policy("a", 1, "evil")]);
    inputs.settings = Arc::new(settings(&[]));
    let before = built(&inputs);
    let (config, injection) = (object(before.config), object(before.injection));
    inputs.config_map = Some(Arc::new(config.clone()));
    inputs.injection = Some(Arc::new(injection.clone()));
    inputs.model = Some(Arc::new(vllm_model()));
    let mut engine = engine_policy("b");
    engine.metadata.creation_timestamp = None;
    inputs.policies.push(Arc::new(engine));
    let rejected = validate(&inputs).rejected;
    let message = &rejected["b"].message;
    assert_eq!(rejected["b"].reason, "PlacementInvalid");
    assert!(message.contains("created anew with another engine"), "{message}");
    let desired = built(&inputs);
    assert_eq!(object(desired.config).data, config.data);
    assert_eq!(object(desired.injection).spec, injection.spec);
    // Once the policies of the former engine are gone, the new one's are in force.
    inputs.deleted_policies = vec![inputs.policies.remove(0).metadata.clone()];
    assert!(object(built(&inputs).injection).spec.server.is_some());
}
