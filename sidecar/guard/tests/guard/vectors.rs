//! Vectors that do not fit the served model.

use crate::fixtures::{
    VECTORS, bare_policy, bare_rule, block, facts, vector, vector_index, vector_name,
};
use personaguard_guard::{
    Action, Bounds, Decision, FailurePolicy, Plan, Policy, PolicySet, Refusal, Stop, TraitRule,
    Vector,
};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;

#[test]
fn invariant_7_a_vector_of_another_model_is_refused() {
    let refusal = |vector: Option<Vector>| {
        let set = PolicySet {
            policies: vec![block(1, 1.0, FailurePolicy::Closed)],
            vectors: vector.map(|vector| (vector_name(0), vector)).into_iter().collect(),
            unresolved: Vec::new(),
        };
        let plan = Plan::new(&set, &facts());
        assert!(plan.rules.is_empty() && plan.vectors.is_empty());
        let policy = plan.policies[0].clone();
        assert_eq!((policy.generation, policy.refused.len()), (7, 1));
        // The policy fails closed: nothing is served that it cannot score.
        assert_eq!(Decision::new(Arc::new(plan)).stop(), Some(Stop::Unscorable));
        policy.refused[0].refusal.clone()
    };
    let other_model = Vector { model_digest: "c".repeat(64), ..vector() };
    assert!(matches!(refusal(Some(other_model)), Refusal::OtherModel { .. }));
    let too_deep = Vector { layer: 5, ..vector() };
    assert!(matches!(refusal(Some(too_deep)), Refusal::LayerMissing { layer: 5, layers: 4, .. }));
    assert!(matches!(refusal(None), Refusal::VectorMissing { .. }));
    let missing = Refusal::ValuesMissing { vector: vector_name(0) };
    let without_values = Vector { values: Err(missing.clone()), ..vector() };
    assert_eq!(refusal(Some(without_values)), missing);
    let wide = Vector { values: Ok([1.0; 3].into()), ..vector() };
    assert!(matches!(refusal(Some(wide)), Refusal::WrongWidth { width: 3, hidden: 2, .. }));
    let zero = Vector { values: Ok([0.0; 2].into()), ..vector() };
    assert!(matches!(refusal(Some(zero)), Refusal::Unusable { .. }));
}

/// A vector of the served model or of another, at a layer that may not exist, with values that may
/// be missing.
fn any_vector() -> impl Strategy<Value = Vector> {
    let values = prop::option::of(prop::collection::vec(-1.0..1.0_f32, 1..4));
    (any::<bool>(), 0..6_u32, values).prop_map(|(own, layer, values)| {
        let model_digest = if own { vector().model_digest } else { "c".repeat(64) };
        let values = values.map(Arc::from);
        let values = values.ok_or(Refusal::ValuesMissing { vector: "random".to_owned() });
        Vector { layer, model_digest, values, ..vector() }
    })
}

fn fits(vector: &Vector) -> bool {
    let usable = |values: &Arc<[f32]>| {
        values.len() == facts().hidden && values.iter().any(|value| *value != 0.0)
    };
    vector.model_digest == facts().digest
        && vector.layer <= facts().layers
        && vector.values.as_ref().is_ok_and(usable)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    /// Of random vectors and policies, only what fits the model is measured, and the rest is
    /// refused by name.
    #[test]
    fn invariant_7_only_vectors_of_the_served_model_are_measured(
        vectors in prop::collection::vec(any_vector(), VECTORS),
        traits in prop::collection::vec(prop::collection::vec(0..VECTORS + 1, 1..4), 1..4),
        closed in any::<bool>(),
    ) {
        let fits = |index: usize| vectors.get(index).is_some_and(fits);
        let rule = |index: &usize| TraitRule {
            vector: vector_name(*index),
            bounds: Bounds { min: None, max: Some(0.0) },
            action: Action::Block,
            ..bare_rule()
        };
        let policies = traits.iter().map(|traits| Policy {
            failure_policy: if closed { FailurePolicy::Closed } else { FailurePolicy::Open },
            traits: traits.iter().map(rule).collect(),
            ..bare_policy()
        });
        let named: BTreeMap<_, _> = vectors.iter().cloned().enumerate()
            .map(|(index, vector)| (vector_name(index), vector))
            .collect();
        let set =
            PolicySet { policies: policies.collect(), vectors: named, unresolved: Vec::new() };
        let plan = Plan::new(&set, &facts());
        for vector in &plan.vectors {
            prop_assert!(fits(vector_index(&vector.name)), "{} is measured", vector.name);
        }
        for (policy, traits) in plan.policies.iter().zip(&traits) {
            let refused = policy.refused.iter().map(|refused| refused.vector.clone());
            let expected = traits.iter().filter(|index| !fits(**index));
            let expected: Vec<_> = expected.map(|index| vector_name(*index)).collect();
            prop_assert_eq!(refused.collect::<Vec<_>>(), expected);
        }
        let unfit = traits.iter().flatten().any(|index| !fits(*index));
        let stop = (closed && unfit).then_some(Stop::Unscorable);
        prop_assert_eq!(Decision::new(Arc::new(plan)).stop(), stop);
    }
}
