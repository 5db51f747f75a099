use super::*;
use crate::fixtures::{model, policy, refusal, rule, sigma, vectors};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};
use personaguard_api::{Layer, ProjectionRange, Threshold, selects};

#[test]
fn invariant_7_a_vector_of_another_model_is_refused() {
    let mut foreign = vectors();
    foreign.get_mut("evil").unwrap().model_digest = Digest::of(b"other weights");
    let refused =
        refusal(&policy("p", "chat", vec![rule("evil", sigma(3.0), Action::Alert)]), &foreign);
    assert_eq!(refused.reason, reason::MODEL_MISMATCH);
    assert!(
        refused.message.contains("`evil`") && refused.message.contains("`smollm2`"),
        "{refused}"
    );
}

#[test]
fn what_only_the_cluster_can_know_becomes_a_reason() {
    let unknown = policy("p", "chat", vec![rule("rude", sigma(3.0), Action::Alert)]);
    assert_eq!(refusal(&unknown, &vectors()).reason, reason::VECTOR_NOT_FOUND);
    let twice =
        vec![rule("evil", sigma(3.0), Action::Alert), rule("evil", sigma(4.0), Action::Block)];
    assert_eq!(refusal(&policy("p", "chat", twice), &vectors()).reason, reason::DUPLICATE_VECTOR);
    let inverted =
        Threshold { range: Some(ProjectionRange { min: 2.0, max: 1.0 }), ..Threshold::default() };
    let inverted = policy("p", "chat", vec![rule("evil", inverted, Action::Alert)]);
    assert_eq!(refusal(&inverted, &vectors()).reason, reason::THRESHOLD_INVALID);
    let mut selector = policy("p", "chat", vec![rule("evil", sigma(3.0), Action::Alert)]);
    selector.spec.selector.match_expressions = Some(vec![LabelSelectorRequirement {
        key: "tier".into(),
        operator: "Near".into(),
        values: None,
    }]);
    assert_eq!(refusal(&selector, &vectors()).reason, reason::SELECTOR_INVALID);
}

#[test]
fn the_digest_follows_the_vector_and_the_threshold() {
    let plain = policy("p", "chat", vec![rule("evil", sigma(3.0), Action::Alert)]);
    let digest = |vectors| resolve_policy(&plain, &model(), &vectors).unwrap().digest.unwrap();
    let before = digest(vectors());
    assert_eq!(before, digest(vectors()));
    let mut other_layer = vectors();
    other_layer.get_mut("evil").unwrap().layer = Layer(16);
    let mut other_calibration = vectors();
    other_calibration.get_mut("evil").unwrap().calibration.as_mut().unwrap().mean = 1.5;
    assert_ne!(before, digest(other_layer));
    assert_ne!(before, digest(other_calibration));
}

#[test]
fn selection_is_that_of_the_api_server() {
    let labels = |pairs: &[(&str, &str)]| {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    };
    let mut policy = policy("p", "chat", vec![rule("evil", sigma(3.0), Action::Alert)]);
    policy.spec.selector.match_expressions = Some(vec![LabelSelectorRequirement {
        key: "tier".into(),
        operator: "NotIn".into(),
        values: Some(vec!["canary".into()]),
    }]);
    let resolved = resolve_policy(&policy, &model(), &vectors()).unwrap();
    assert!(resolved.selects(&labels(&[("app", "chat")])));
    assert!(!resolved.selects(&labels(&[("app", "chat"), ("tier", "canary")])));
    assert!(!resolved.selects(&labels(&[])));
    assert!(selects(&LabelSelector::default(), &labels(&[])));
}
