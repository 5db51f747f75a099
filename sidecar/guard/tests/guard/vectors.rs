//! Vectors that do not fit the served model.

use crate::fixtures::{
    VECTORS, bare_policy, bare_rule, block, config, digest, facts, vector, vector_index,
    vector_name,
};
use personaguard_guard::{Decision, Plan, Stop, Vectors};
use personaguard_terms::{Action, Digest, FailurePolicy};
use personaguard_wire::{ResolvedPolicy, ResolvedTrait, ResolvedVector};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The values of `v0`.
fn values(values: &[f32]) -> Vectors {
    [(vector_name(0), Ok(values.into()))].into()
}

#[test]
fn invariant_7_a_vector_of_another_model_is_refused() {
    let refusal = |vector: Option<ResolvedVector>, values: &Vectors| {
        let vectors = vector.map(|vector| (vector_name(0), vector)).into_iter().collect();
        let config = config(vec![block(1, 1.0, FailurePolicy::Closed)], vectors);
        let plan = Arc::new(Plan::new(&config, values, &facts()));
        assert!(plan.rules.is_empty() && plan.vectors.is_empty());
        // The policy fails closed: nothing is served that it cannot score.
        assert_eq!(Decision::new(Arc::clone(&plan)).stop(), Some(Stop::Unscorable));
        let acknowledgement = plan.acknowledgements().remove(0);
        assert_eq!((acknowledgement.generation, acknowledgement.refused.len()), (7, 1));
        acknowledgement.refused[0].failure.reason.clone()
    };
    let good = values(&[1.0, 2.0]);
    assert_eq!(refusal(Some(vector(Digest::of(b"others"), 2)), &good), "ModelMismatch");
    assert_eq!(refusal(Some(vector(digest(), 5)), &good), "LayerMissing");
    assert_eq!(refusal(None, &good), "VectorNotFound");
    let own = Some(vector(digest(), 2));
    assert_eq!(refusal(own.clone(), &Vectors::new()), "ArtifactNotFound");
    assert_eq!(refusal(own.clone(), &values(&[1.0; 3])), "ModelMismatch");
    assert_eq!(refusal(own, &values(&[0.0; 2])), "ArtifactInvalid");
}

#[test]
fn issue_15_14_what_is_acknowledged_is_what_is_enforced_whatever_the_file_says_of_itself() {
    let vectors = || [(vector_name(0), vector(digest(), 2))].into();
    let acknowledged = |threshold: f64, claim: Option<Digest>| {
        let mut policy = block(1, threshold, FailurePolicy::Open);
        policy.digest = claim;
        let config = config(vec![policy], vectors());
        Plan::new(&config, &values(&[1.0, 2.0]), &facts()).acknowledgements().remove(0).digest
    };
    let genuine = acknowledged(1.0, None);
    assert!(genuine.is_some());
    assert_eq!(acknowledged(1.0, Some(Digest::of(b"anything"))), genuine);
    // Loosened, with the digest of the genuine one beside it.
    assert_ne!(acknowledged(1e9, genuine.clone()), genuine);
}

/// A vector of the served model or of another, at a layer that may not exist, and values that may
/// be missing.
fn any_vector() -> impl Strategy<Value = (ResolvedVector, Option<Vec<f32>>)> {
    let values = prop::option::of(prop::collection::vec(-1.0..1.0_f32, 1..4));
    (any::<bool>(), 0..6_u32, values).prop_map(|(own, layer, values)| {
        let model_digest = if own { digest() } else { Digest::of(b"others") };
        (vector(model_digest, layer), values)
    })
}

fn fits((vector, values): &(ResolvedVector, Option<Vec<f32>>)) -> bool {
    let usable = |values: &Vec<f32>| {
        values.len() == facts().hidden && values.iter().any(|value| *value != 0.0)
    };
    vector.model_digest == digest()
        && vector.layer.0 <= facts().layers
        && values.as_ref().is_some_and(usable)
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
        let rule = |index: &usize| ResolvedTrait {
            vector: vector_name(*index),
            max: Some(0.0),
            action: Action::Block,
            ..bare_rule()
        };
        let policies = traits.iter().map(|traits| ResolvedPolicy {
            failure_policy: if closed { FailurePolicy::Closed } else { FailurePolicy::Open },
            traits: traits.iter().map(rule).collect(),
            ..bare_policy()
        });
        let (mut resolved, mut values) = (BTreeMap::new(), Vectors::new());
        for (index, (vector, own)) in vectors.iter().enumerate() {
            resolved.insert(vector_name(index), vector.clone());
            if let Some(own) = own {
                values.insert(vector_name(index), Ok(own.as_slice().into()));
            }
        }
        let plan = Plan::new(&config(policies.collect(), resolved), &values, &facts());
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
