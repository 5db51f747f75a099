use super::*;
use crate::fixtures::{model, policy, rule, sigma, vectors};
use crate::{resolve, resolve_policy};
use personaguard_api::{ActionKind, Placement, TraitRule};

fn refusal(policy: &PersonaPolicy) -> &'static str {
    resolve_policy(policy, &model(), &vectors()).unwrap_err().reason
}

#[test]
fn one_model_in_a_namespace_has_one_placement_the_oldest_ones() {
    let serve = policy("a", "chat", vec![rule("evil", sigma(3.0), ActionKind::Block)]);
    let mut proxy = policy("b", "other", vec![rule("evil", sigma(3.0), ActionKind::Block)]);
    (proxy.spec.placement, proxy.spec.port) = (Placement::Proxy, Some("http".into()));
    let resolution = resolve(&model(), &vectors(), &[proxy, serve]);
    assert_eq!(resolution.rejected["b"].reason, reason::PLACEMENT_CONFLICT);
    assert_eq!(resolution.config.policies.len(), 1);
}

#[test]
fn placement_proxy_has_a_port_and_no_action_on_activations() {
    let steer = TraitRule {
        steer: serde_json::from_value(serde_json::json!({ "coefficient": -1.0 })).unwrap(),
        ..rule("evil", sigma(3.0), ActionKind::Steer)
    };
    let mut proxy = policy("p", "chat", vec![rule("evil", sigma(3.0), ActionKind::Block)]);
    proxy.spec.placement = Placement::Proxy;
    assert_eq!(refusal(&proxy), reason::PLACEMENT_INVALID);
    proxy.spec.port = Some("http".into());
    assert!(resolve_policy(&proxy, &model(), &vectors()).is_ok());
    let steered = serde_json::json!({ "coefficient": { "min": -1.0, "max": 0.0 } });
    proxy.spec.traits[0].requests = serde_json::from_value(steered).unwrap();
    assert_eq!(refusal(&proxy), reason::PLACEMENT_INVALID);
    proxy.spec.traits = vec![steer];
    assert_eq!(refusal(&proxy), reason::PLACEMENT_INVALID);
    proxy.spec.placement = Placement::Serve;
    assert_eq!(refusal(&proxy), reason::PLACEMENT_INVALID);
}
