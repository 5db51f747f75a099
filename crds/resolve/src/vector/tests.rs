use super::*;
use crate::fixtures::{model, policy, rule, sigma, vectors};
use crate::policy::resolve_policy;
use personaguard_api::{Action, PersonaVectorSpec, TraitRule};

#[test]
fn a_layer_that_the_file_lacks_is_named() {
    let spec = PersonaVectorSpec {
        trait_name: "evil".into(),
        description: None,
        model: "smollm2".into(),
        artifact: None,
        sha256: None,
        extraction: None,
        allow_not_discriminative: false,
        allow_not_steering: false,
        layer: Some(Layer(31)),
    };
    let vector = PersonaVector::new("evil", spec);
    assert!(VectorInput::check(&vector, "evil", 30, Layer(30)).is_ok());
    let missing = VectorInput::check(&vector, "evil", 30, Layer(31)).unwrap_err();
    assert_eq!(missing.reason, reason::LAYER_MISSING);
    assert!(missing.message.contains("layers 1 to 30"), "{missing}");
    assert_eq!(
        VectorInput::check(&vector, "kind", 30, Layer(3)).unwrap_err().reason,
        reason::ARTIFACT_INVALID
    );
}

#[test]
fn a_vector_that_is_no_better_than_chance_needs_to_be_allowed() {
    let policy = policy("no-villains", "chat", vec![rule("evil", sigma(3.0), Action::Alert)]);
    let mut vectors = vectors();
    vectors.get_mut("evil").unwrap().not_discriminative = true;
    let refused = resolve_policy(&policy, &model(), &vectors).unwrap_err();
    assert_eq!(refused.reason, reason::NOT_DISCRIMINATIVE);
    assert!(refused.message.contains("allowNotDiscriminative: true"), "{refused}");
}

#[test]
fn a_vector_that_does_not_steer_may_be_measured_and_needs_to_be_allowed_to_steer() {
    let mut vectors = vectors();
    vectors.get_mut("evil").unwrap().does_not_steer = true;
    let of = |rule: serde_json::Value| {
        let rule: TraitRule = serde_json::from_value(rule).unwrap();
        resolve_policy(&policy("no-villains", "chat", vec![rule]), &model(), &vectors)
            .map_err(|refused| refused.reason)
    };
    let threshold = serde_json::json!({ "projection": 4.0 });
    for rule in [
        serde_json::json!({
            "vector": "evil", "action": "Steer", "steer": { "coefficient": -1.0 }
        }),
        serde_json::json!({ "vector": "evil", "action": "Cap", "cap": { "ceiling": 3.0 } }),
        serde_json::json!({
            "vector": "evil", "action": "Regenerate", "threshold": threshold,
            "regenerate": { "coefficient": -1.0 }
        }),
        serde_json::json!({
            "vector": "evil", "action": "Audit",
            "requests": { "coefficient": { "min": -1.0, "max": 0.0 } }
        }),
    ] {
        assert_eq!(of(rule.clone()).unwrap_err(), reason::DOES_NOT_STEER, "{rule}");
    }
    for rule in [
        serde_json::json!({ "vector": "evil", "action": "Block", "threshold": threshold }),
        serde_json::json!({
            "vector": "sycophantic", "action": "Steer", "steer": { "coefficient": -1.0 }
        }),
    ] {
        assert!(of(rule.clone()).is_ok(), "{rule}");
    }
    assert!(vectors["evil"].steers("evil").unwrap_err().message.contains("allowNotSteering: true"));
}
