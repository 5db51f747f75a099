use super::*;
use crate::fixtures::{FakeApi, context, policy};
use crate::policy::build::build;
use crate::policy::fixtures::inputs;
use crate::policy::memory::Objects;
use crate::policy::validate::validate;
use serde_json::json;

fn server(refused: &'static str) -> FakeApi {
    FakeApi::start(move |asked| {
        let line = format!("{} {}", asked.method, asked.uri);
        let words: Vec<_> = refused.split(' ').collect();
        if line.starts_with(words[0]) && line.contains(words[1]) {
            let message = "admission webhook \"x\" denied the request: no";
            let status = json!({ "kind": "Status", "status": "Failure", "code": 403,
                "message": message });
            return Some((403, status));
        }
        match asked.method.as_str() {
            "DELETE" => Some((200, json!({ "kind": "Status", "status": "Success" }))),
            _ => Some((200, serde_json::from_slice(&asked.body).unwrap())),
        }
    })
}

async fn reconcile(server: &FakeApi, inputs: &mut Inputs) -> (Vec<String>, FailedWrites) {
    let (context, memory) = (context(server), Memory::default());
    let scope = inputs.scope.clone();
    memory.config_is(&scope, inputs.found.config_map.clone());
    memory.injection_is(&scope, inputs.found.injection.clone());
    (inputs.config_map, inputs.injection) =
        (inputs.found.config_map.clone(), inputs.found.injection.clone());
    let validated = validate(inputs);
    let desired = build(&validated, inputs.config_map.as_deref()).unwrap();
    let mut failed = FailedWrites::default();
    apply(&context, &memory, inputs, &validated, &desired, &mut failed).await.unwrap();
    let written = server.seen().into_iter().map(|line| {
        let path = line.split('?').next().unwrap().to_owned();
        path.replace("/api/v1/namespaces/support/", "")
            .replace("/apis/personaguard.dev/v1alpha1/namespaces/support/", "")
    });
    (written.collect(), failed)
}

/// With one policy in force, and no pods.
fn in_force() -> Inputs {
    let mut inputs = inputs(vec![policy("no-villains", 3, "evil")]);
    let desired = build(&validate(&inputs), None).unwrap();
    let (Desired::Present(config), Desired::Present(injection)) =
        (desired.config, desired.injection)
    else {
        panic!("nothing is in force")
    };
    inputs.found =
        Objects { config_map: Some(Arc::new(*config)), injection: Some(Arc::new(*injection)) };
    inputs
}

#[tokio::test]
async fn item_15_a_config_does_not_go_before_the_injection_that_mounts_it() {
    let mut inputs = in_force();
    inputs.policies.clear();
    let (seen, failed) = reconcile(&server("DELETE personainjections"), &mut inputs).await;
    assert_eq!(seen, ["DELETE personainjections/personaguard-smollm2"]);
    assert!(failed.refusal().unwrap().contains("PersonaInjection"));
    let (seen, _) = reconcile(&server("DELETE nothing"), &mut inputs).await;
    let both = ["personainjections", "configmaps"];
    assert_eq!(seen, both.map(|kind| format!("DELETE {kind}/personaguard-smollm2")));
}

#[tokio::test]
async fn item_15_while_the_config_cannot_be_written_new_pods_get_the_sidecar_that_fits_it() {
    let mut inputs = in_force();
    let before = inputs.found.injection.clone().unwrap();
    // Other weights, and another selector.
    let model = Arc::make_mut(inputs.model.as_mut().unwrap());
    model.spec.runtime.context_length = 8192;
    let policy = Arc::make_mut(&mut inputs.policies[0]);
    policy.spec.selector = serde_json::from_value(json!({})).unwrap();
    let (context, memory) = (context(&server("PATCH configmaps")), Memory::default());
    memory.injection_is(&inputs.scope, Some(Arc::clone(&before)));
    (inputs.config_map, inputs.injection) =
        (inputs.found.config_map.clone(), inputs.found.injection.clone());
    let validated = validate(&inputs);
    let desired = build(&validated, inputs.config_map.as_deref()).unwrap();
    let mut failed = FailedWrites::default();
    apply(&context, &memory, &inputs, &validated, &desired, &mut failed).await.unwrap();
    assert!(failed.refusal().unwrap().contains("ConfigMap"));
    let now = memory.recall(&inputs.scope, &Objects::default()).injection.unwrap();
    assert_eq!(now.spec.container, before.spec.container, "for the context of the config");
    assert_eq!(now.spec.selectors.len(), 1);
    assert_ne!(now.spec.selectors, before.spec.selectors, "and whoever is selected gets one");
}

#[tokio::test]
async fn invariant_9_which_pods_must_not_start_is_written_without_a_config() {
    let mut closed = policy("no-villains", 1, "evil");
    closed.spec.failure_policy = personaguard_api::FailurePolicy::Closed;
    let mut inputs = inputs(vec![closed]);
    inputs.model = None;
    let (seen, failed) = reconcile(&server("PATCH nothing"), &mut inputs).await;
    assert_eq!(seen, ["PATCH personainjections/personaguard-smollm2"]);
    assert!(failed.refusal().is_none());
}

#[test]
fn item_15_a_webhook_that_refuses_with_any_code_is_told() {
    for code in [403, 404, 409, 422] {
        let status = json!({ "status": "Failure", "code": code,
            "message": "admission webhook \"x\" denied the request: no" });
        let source = kube::Error::Api(serde_json::from_value(status).unwrap());
        let error = WriteError::Api { object: "ConfigMap a".into(), source };
        assert!(error.refusal().is_some() && !error.is_not_found(), "{code}");
    }
    let status = json!({ "status": "Failure", "code": 409, "message": "it was modified" });
    let source = kube::Error::Api(serde_json::from_value(status).unwrap());
    assert!(WriteError::Api { object: "ConfigMap a".into(), source }.refusal().is_none());
}
