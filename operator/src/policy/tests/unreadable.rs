//! An object that cannot be read leaves everything of its scope as it is.

use super::{enforced, settle};
use crate::fixtures::{pod, policy};
use crate::policy::dereference::Inputs;
use crate::policy::fixtures::inputs;
use crate::policy::validate::validate;
use personaguard_api::PersonaPolicy;
use personaguard_api::conditions::reason;
use std::sync::Arc;

/// Three policies in force. Then the operator starts anew, and cannot read one of them.
fn after_a_restart() -> Inputs {
    let mut inputs =
        inputs(vec![policy("a", 3, "evil"), policy("b", 1, "evil"), policy("c", 1, "evil")]);
    inputs.pods = vec![Arc::new(pod("chat-1", Some("smollm2")))];
    settle(&mut inputs);
    inputs.policies.remove(0);
    inputs.unreadable = vec!["PersonaPolicy `a` cannot be read.".into()];
    inputs
}

fn uid(policy: &Arc<PersonaPolicy>) -> String {
    policy.metadata.uid.clone().unwrap()
}

#[test]
fn item_11_what_is_in_the_cluster_stays_to_the_letter() {
    let mut inputs = after_a_restart();
    let before = (inputs.config_map.clone(), inputs.injection.clone());
    settle(&mut inputs);
    assert_eq!((inputs.config_map.clone(), inputs.injection.clone()), before);
    // Also if no policy is left that can be read.
    inputs.policies.clear();
    settle(&mut inputs);
    assert_eq!((inputs.config_map.clone(), inputs.injection.clone()), before);
    // Also if nothing else can be: the model, say, or a pod.
    (inputs.model, inputs.pods) = (None, Vec::new());
    settle(&mut inputs);
    assert_eq!((inputs.config_map.clone(), inputs.injection.clone()), before);
}

#[test]
fn item_11_the_others_are_what_they_were_and_an_edit_of_them_waits() {
    let mut inputs = after_a_restart();
    Arc::make_mut(&mut inputs.policies[1]).metadata.generation = Some(2);
    let validated = validate(&inputs);
    let rejected: Vec<_> =
        validated.rejected.iter().map(|(name, it)| (name.as_str(), it.reason)).collect();
    assert_eq!(rejected, [("c", reason::UNREADABLE)], "b is in force as it is written");
    let message = &validated.rejected["c"].message;
    assert!(message.contains("PersonaPolicy `a`"), "{message}");
    assert!(message.contains("Generation 1 stays in force"), "{message}");
    assert_eq!(validated.in_force("a").unwrap().generation, 3, "what is in force is known");
}

#[test]
fn item_11_deletions_go_on_also_of_what_cannot_be_read() {
    let mut inputs = after_a_restart();
    let deleted = inputs.policies.remove(0);
    inputs.deleted_policies = vec![deleted.metadata.clone()];
    settle(&mut inputs);
    let left = |inputs: &Inputs| {
        let policies = enforced(inputs, "config.yaml").into_iter();
        policies.map(|policy| policy.name).collect::<Vec<_>>()
    };
    assert_eq!(left(&inputs), ["a", "c"]);
    // The unreadable one is deleted itself: only its metadata are needed.
    let mut unread = deleted.metadata.clone();
    unread.uid = Some(uid(&Arc::new(policy("a", 3, "evil"))));
    inputs.deleted_policies.push(unread);
    inputs.unreadable.clear();
    settle(&mut inputs);
    assert_eq!(left(&inputs), ["c"]);
}

#[test]
fn item_11_a_config_of_another_version_is_not_replaced_by_less() {
    let mut inputs = after_a_restart();
    inputs.unreadable.clear();
    inputs.policies.insert(0, Arc::new(policy("a", 4, "unknown")));
    let map = Arc::make_mut(inputs.config_map.as_mut().unwrap());
    let text = map.data.as_mut().unwrap().get_mut("config.yaml").unwrap();
    text.push_str("future: true\n");
    let before = inputs.config_map.clone();
    let validated = validate(&inputs);
    assert_eq!(validated.rejected["a"].reason, reason::UNREADABLE);
    settle(&mut inputs);
    assert_eq!(inputs.config_map, before);
    // Every policy can be enforced as it is written, so nothing is lost by a new one.
    Arc::make_mut(&mut inputs.policies[0]).spec.traits[0].vector = "evil".into();
    settle(&mut inputs);
    assert_eq!(enforced(&inputs, "config.yaml").len(), 3);
}

#[test]
fn item_11_a_pod_that_cannot_be_read_keeps_its_config() {
    let mut inputs = after_a_restart();
    inputs.unreadable.clear();
    inputs.policies.clear();
    inputs.pods.clear();
    let raw = serde_json::json!({
        "metadata": {"name": "chat-1", "namespace": "support", "labels": {"app": "chat"}},
        "spec": 7
    });
    let crate::context::Readable::<k8s_openapi::api::core::v1::Pod>::Unreadable(pod) =
        serde_json::from_value(raw).unwrap()
    else {
        panic!("it was read")
    };
    inputs.unreadable_pods = vec![Arc::from(pod)];
    settle(&mut inputs);
    assert!(enforced(&inputs, "config.yaml").is_empty(), "no policy is left");
    inputs.unreadable_pods.clear();
    settle(&mut inputs);
    assert!(inputs.config_map.is_none());
}
