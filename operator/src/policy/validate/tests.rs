use super::*;
use crate::fixtures::{artifact, policy};
use crate::policy::fixtures::inputs;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::ConfigMap;
use personaguard_api::names;
use personaguard_persona::write_vector_bundle;

fn guard(validated: &Validated) -> &Guard {
    match &validated.plan {
        Plan::Guard(guard) => guard,
        plan => panic!("no config: {plan:?}"),
    }
}

/// The config as sidecars have it.
fn config_map(validated: &Validated) -> Arc<ConfigMap> {
    let Guard { config, layers, .. } = guard(validated);
    let layers = layers.iter().map(|(name, values)| (name.clone(), values.as_slice())).collect();
    Arc::new(ConfigMap {
        data: Some(BTreeMap::from([(names::CONFIG_FILE.to_owned(), config.to_yaml().unwrap())])),
        binary_data: Some(BTreeMap::from([(
            names::VECTORS_FILE.to_owned(),
            ByteString(write_vector_bundle(&layers).unwrap()),
        )])),
        ..ConfigMap::default()
    })
}

#[test]
fn a_policy_that_fits_is_in_force() {
    let validated = validate(&inputs(vec![policy("no-villains", 3, "evil")]));
    assert!(validated.rejected.is_empty());
    assert_eq!(validated.in_force("no-villains").unwrap().generation, 3);
    assert_eq!(guard(&validated).layers["evil"].len(), 8);
}

#[test]
fn an_edit_that_cannot_be_enforced_leaves_the_previous_generation_in_force() {
    let before = validate(&inputs(vec![policy("no-villains", 3, "evil")]));
    let mut edited = inputs(vec![policy("no-villains", 4, "unknown")]);
    edited.config_map = Some(config_map(&before));
    let after = validate(&edited);
    assert_eq!(after.rejected["no-villains"].reason, reason::VECTOR_NOT_FOUND);
    assert!(after.rejected["no-villains"].message.contains("Generation 3 stays in force"));
    assert_eq!(after.in_force("no-villains"), before.in_force("no-villains"));
    assert_eq!(guard(&after).layers, guard(&before).layers);
    assert!(guard(&after).config.unresolved.is_empty());
}

#[test]
fn a_vector_whose_file_went_away_leaves_the_policy_in_force() {
    let before = validate(&inputs(vec![policy("no-villains", 3, "evil")]));
    let mut later = inputs(vec![policy("no-villains", 3, "evil")]);
    later.vectors.insert("evil".into(), Err(Rejection::new(reason::ARTIFACT_NOT_FOUND, "gone")));
    later.config_map = Some(config_map(&before));
    let after = validate(&later);
    assert_eq!(after.rejected["no-villains"].reason, reason::VECTOR_NOT_READY);
    assert_eq!(guard(&after).config, guard(&before).config);
}

#[test]
fn invariant_9_sidecars_are_told_of_a_policy_that_was_never_accepted() {
    let mut closed = policy("a-closed", 1, "unknown");
    closed.spec.failure_policy = personaguard_api::FailurePolicy::Closed;
    let mut audit = policy("b-audit", 1, "unknown");
    audit.spec.mode = personaguard_api::Mode::Audit;
    let validated = validate(&inputs(vec![closed, audit, policy("c-fine", 1, "evil")]));
    let config = &guard(&validated).config;
    assert_eq!(config.policies.len(), 1);
    let unresolved: Vec<_> =
        config.unresolved.iter().map(|p| (p.name.as_str(), p.failure_policy)).collect();
    assert_eq!(unresolved, [("a-closed", personaguard_api::FailurePolicy::Closed)]);
    assert_eq!(config.unresolved[0].failure.reason, reason::VECTOR_NOT_FOUND);
    // A policy that stays in force as it was is not listed.
    let before = validate(&inputs(vec![policy("no-villains", 3, "evil")]));
    let mut edited = inputs(vec![policy("no-villains", 4, "unknown")]);
    edited.config_map = Some(config_map(&before));
    assert!(guard(&validate(&edited)).config.unresolved.is_empty());
}

#[test]
fn a_recreated_policy_inherits_nothing_from_its_namesake() {
    let before = validate(&inputs(vec![policy("no-villains", 3, "evil")]));
    let mut recreated = policy("no-villains", 1, "unknown");
    recreated.metadata.uid = Some("another".into());
    let mut later = inputs(vec![recreated]);
    later.config_map = Some(config_map(&before));
    assert!(validate(&later).in_force("no-villains").is_none());
}

#[test]
fn invariant_7_a_vector_of_another_model_never_reaches_a_sidecar() {
    let mut foreign = inputs(vec![policy("no-villains", 1, "evil")]);
    foreign.vectors.insert("evil".into(), Ok(artifact(b"other weights", 8)));
    let validated = validate(&foreign);
    assert_eq!(validated.rejected["no-villains"].reason, reason::MODEL_MISMATCH);
    assert!(guard(&validated).config.vectors.is_empty());
    assert!(guard(&validated).layers.is_empty());
}

#[test]
fn the_youngest_policies_that_do_not_fit_a_config_map_are_rejected_and_nothing_is_truncated() {
    let mut younger = policy("a-younger", 1, "rude");
    younger.metadata.creation_timestamp =
        serde_json::from_value(serde_json::json!("2026-11-24T09:00:00Z")).unwrap();
    let mut large = inputs(vec![younger, policy("b-older", 1, "evil")]);
    large.vectors.insert("evil".into(), Ok(artifact(b"weights", 140_000)));
    large.vectors.insert("rude".into(), Ok(artifact(b"weights", 140_000)));
    let validated = validate(&large);
    assert_eq!(validated.rejected["a-younger"].reason, reason::CONFIG_TOO_LARGE);
    assert_eq!(validated.in_force("b-older").unwrap().traits.len(), 1);
    assert_eq!(guard(&validated).layers["evil"].len(), 140_000);
}

#[test]
fn without_the_model_or_in_an_excluded_namespace_every_policy_is_rejected() {
    let mut orphaned = inputs(vec![policy("no-villains", 1, "evil")]);
    orphaned.model = None;
    let validated = validate(&orphaned);
    assert_eq!(validated.rejected["no-villains"].reason, reason::MODEL_NOT_FOUND);
    assert!(matches!(&validated.plan, Plan::Hold(held) if held.config.is_none()));
    let mut excluded = inputs(vec![policy("no-villains", 1, "evil")]);
    excluded.exclusion = Some("Nothing is ever injected here.".into());
    assert_eq!(validate(&excluded).rejected["no-villains"].reason, reason::NAMESPACE_EXCLUDED);
}
