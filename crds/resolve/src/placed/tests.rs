use super::*;
use crate::fixtures::{model, policy, rule, sigma, vectors, vllm_model};
use crate::{resolve, resolve_policy, served_model};

fn refusal(policy: &PersonaPolicy) -> &'static str {
    resolve_policy(policy, &model(), &vectors()).unwrap_err().reason
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

fn engine(traits: Vec<TraitRule>) -> PersonaPolicy {
    let mut policy = policy("p", "chat", traits);
    (policy.spec.placement, policy.spec.port) = (Placement::Engine, Some("http".into()));
    policy
}

#[test]
fn placement_engine_has_a_port_and_every_action() {
    let parameters = [
        (ActionKind::Block, "steer", serde_json::json!(null)),
        (ActionKind::Steer, "steer", serde_json::json!({ "coefficient": -1.0 })),
        (ActionKind::Cap, "cap", serde_json::json!({ "ceiling": 4.0 })),
        (ActionKind::Regenerate, "regenerate", serde_json::json!({ "coefficient": -1.0 })),
        (ActionKind::Redact, "redact", serde_json::json!({ "text": "" })),
    ];
    for (action, field, value) in parameters {
        let mut trait_ = serde_json::to_value(rule("evil", sigma(3.0), action)).unwrap();
        trait_[field] = value;
        trait_["requests"] = serde_json::json!({ "coefficient": { "min": -1.0, "max": 0.0 } });
        let policy = engine(vec![serde_json::from_value(trait_).unwrap()]);
        let resolved = resolve_policy(&policy, &vllm_model(), &vectors());
        assert!(resolved.is_ok(), "{action:?}: {resolved:?}");
    }
    let mut portless = engine(vec![rule("evil", sigma(3.0), ActionKind::Block)]);
    portless.spec.port = None;
    let refused = resolve_policy(&portless, &vllm_model(), &vectors()).unwrap_err();
    assert_eq!(refused.reason, reason::PLACEMENT_INVALID);
    assert!(refused.message.contains("give its name in spec.port"), "{}", refused.message);
}

#[test]
fn a_placement_goes_with_the_engine_of_its_model() {
    let block = || vec![rule("evil", sigma(3.0), ActionKind::Block)];
    let serve = policy("p", "chat", block());
    let mut proxy = engine(block());
    proxy.spec.placement = Placement::Proxy;
    for (policy, model, says) in [
        (&serve, vllm_model(), "use placement Engine"),
        (&proxy, vllm_model(), "use placement Engine"),
        (&engine(block()), model(), "use a PersonaModel with engine Vllm"),
    ] {
        let refused = resolve_policy(policy, &model, &vectors()).unwrap_err();
        assert_eq!(refused.reason, reason::PLACEMENT_INVALID);
        assert!(refused.message.contains(says), "{}", refused.message);
    }
}

#[test]
fn of_two_placements_for_one_model_of_vllms_the_oldest_stands() {
    let block = || vec![rule("evil", sigma(3.0), ActionKind::Block)];
    let (first, mut second) = (engine(block()), engine(block()));
    second.metadata.name = Some("q".into());
    second.spec.port = Some("other".into());
    let resolution = resolve(&vllm_model(), &vectors(), &[first, second]);
    assert_eq!(resolution.rejected["q"].reason, reason::PLACEMENT_CONFLICT);
    assert_eq!(resolution.config.policies.len(), 1);
}

/// A change of what only our own engine reads would have pods restarted for nothing.
#[test]
fn what_identifies_a_model_of_vllms_is_its_digest_alone() {
    let (model, mut other) = (vllm_model(), vllm_model());
    other.spec.runtime.context_length = 64;
    other.spec.runtime.threads = Some(3);
    other.spec.runtime.device = personaguard_api::Device::Cuda;
    assert_eq!(served_model(&other).identity(), served_model(&model).identity());
    assert_eq!(served_model(&model).file, "");
    other.spec.sha256 = personaguard_api::Digest::of(b"others");
    assert_ne!(served_model(&other).identity(), served_model(&model).identity());
}
