//! Policies that fail closed, and for which nothing can be injected.

use super::{enforced, settle};
use crate::fixtures::{json, policy};
use crate::policy::dereference::Inputs;
use crate::policy::fixtures::inputs;
use crate::policy::validate::validate;
use personaguard_api::{FailurePolicy, Mode, PersonaPolicy, Placement};
use serde_json::{Value, json};
use std::sync::Arc;

/// Selects `app: NAME`.
fn closed(name: &str) -> PersonaPolicy {
    let mut policy = policy(name, 1, "evil");
    policy.spec.failure_policy = FailurePolicy::Closed;
    policy.spec.selector.match_labels = Some([("app".to_owned(), name.to_owned())].into());
    policy
}

fn closed_selectors(inputs: &Inputs) -> Value {
    json(&inputs.injection.as_ref().unwrap().spec.closed_selectors)
}

fn message(inputs: &Inputs, policy: &str) -> String {
    validate(inputs).rejected[policy].message.clone()
}

#[test]
fn invariant_9_no_pod_of_a_closed_policy_starts_before_its_model_exists() {
    let mut audit = closed("audit");
    audit.spec.mode = Mode::Audit;
    let mut open = closed("open");
    open.spec.failure_policy = FailurePolicy::Open;
    let mut inputs = inputs(vec![closed("chat"), open, audit]);
    let model = inputs.model.take();
    settle(&mut inputs);
    assert_eq!(closed_selectors(&inputs), json!([{"matchLabels": {"app": "chat"}}]));
    let spec = &inputs.injection.as_ref().unwrap().spec;
    assert!(spec.container.is_none() && spec.selectors.is_empty(), "and nothing is injected");
    assert!(inputs.config_map.is_none());
    assert!(message(&inputs, "chat").contains("no pod that it selects starts"));
    assert!(!message(&inputs, "open").contains("starts"));
    // Once it exists, they start with their sidecars.
    let refusing = inputs.injection.clone();
    inputs.model = model;
    settle(&mut inputs);
    let spec = &inputs.injection.as_ref().unwrap().spec;
    assert!(spec.container.is_some());
    assert_eq!(spec.selectors.len(), 3);
    assert_eq!(enforced(&inputs, "config.yaml").len(), 3);
    // Without the policy, they start as they are.
    (inputs.model, inputs.injection, inputs.config_map) = (None, refusing, None);
    inputs.policies.remove(0);
    settle(&mut inputs);
    assert!(inputs.injection.is_none());
}

#[test]
fn invariant_9_a_closed_policy_that_comes_after_its_model_went_refuses_its_pods_only() {
    let mut inputs = inputs(vec![closed("older")]);
    settle(&mut inputs);
    let before = inputs.injection.clone().unwrap();
    inputs.model = None;
    inputs.policies.push(Arc::new(closed("chat")));
    settle(&mut inputs);
    let both = json!([{"matchLabels": {"app": "older"}}, {"matchLabels": {"app": "chat"}}]);
    assert_eq!(closed_selectors(&inputs), both);
    let spec = &inputs.injection.as_ref().unwrap().spec;
    assert_eq!(
        (&spec.selectors, &spec.container),
        (&before.spec.selectors, &before.spec.container)
    );
    assert!(!message(&inputs, "older").contains("starts"), "it stays in force");
    // What cannot be read changes nothing of that.
    inputs.unreadable = vec!["PersonaModel `smollm2` cannot be read.".into()];
    settle(&mut inputs);
    assert_eq!(closed_selectors(&inputs), both);
    inputs.unreadable.clear();
    inputs.policies.truncate(1);
    settle(&mut inputs);
    assert_eq!(inputs.injection.as_deref(), Some(before.as_ref()));
}

#[test]
fn invariant_9_so_does_one_whose_placement_is_not_the_one_that_is_injected() {
    let mut proxy = closed("proxy");
    (proxy.spec.placement, proxy.spec.port) = (Placement::Proxy, Some("http".into()));
    let mut inputs = inputs(vec![policy("no-villains", 1, "evil")]);
    settle(&mut inputs);
    inputs.policies.push(Arc::new(proxy));
    settle(&mut inputs);
    assert_eq!(closed_selectors(&inputs), json!([{"matchLabels": {"app": "proxy"}}]));
    assert_eq!(inputs.injection.as_ref().unwrap().spec.selectors.len(), 1);
    assert!(message(&inputs, "proxy").contains("no pod that it selects starts"));
}
