use super::*;
use crate::policy::fixtures::{artefact, inputs, policy};
use k8s_openapi::ByteString;
use personaguard_persona::write_vector_bundle;

/// The config of these verdicts, as sidecars have it.
fn config_map(verdicts: &Verdicts) -> Arc<ConfigMap> {
    let layers =
        verdicts.layers.iter().map(|(name, values)| (name.clone(), values.as_slice())).collect();
    Arc::new(ConfigMap {
        data: Some(BTreeMap::from([(
            names::CONFIG_FILE.to_owned(),
            verdicts.config.as_ref().unwrap().to_yaml().unwrap(),
        )])),
        binary_data: Some(BTreeMap::from([(
            names::VECTORS_FILE.to_owned(),
            ByteString(write_vector_bundle(&layers).unwrap()),
        )])),
        ..ConfigMap::default()
    })
}

#[test]
fn a_policy_that_fits_is_in_force() {
    let verdicts = validate(&inputs(vec![policy("no-villains", 3, "evil")]));
    assert!(verdicts.rejected.is_empty());
    assert_eq!(verdicts.in_force("no-villains").unwrap().generation, 3);
    assert_eq!(verdicts.layers["evil"].len(), 8);
}

#[test]
fn an_edit_that_cannot_be_enforced_leaves_the_generation_before_in_force() {
    let before = validate(&inputs(vec![policy("no-villains", 3, "evil")]));
    let mut edited = inputs(vec![policy("no-villains", 4, "unknown")]);
    edited.config_map = Some(config_map(&before));
    let after = validate(&edited);
    assert_eq!(after.rejected["no-villains"].reason, reason::VECTOR_NOT_FOUND);
    assert!(after.rejected["no-villains"].message.contains("Generation 3 stays in force"));
    assert_eq!(after.in_force("no-villains"), before.in_force("no-villains"));
    assert_eq!(after.layers, before.layers);
    assert!(after.kept.contains("no-villains"));
}

#[test]
fn a_vector_whose_file_went_away_leaves_the_policy_in_force() {
    let before = validate(&inputs(vec![policy("no-villains", 3, "evil")]));
    let mut later = inputs(vec![policy("no-villains", 3, "evil")]);
    later.vectors.insert("evil".into(), Err(Rejection::new(reason::ARTIFACT_NOT_FOUND, "gone")));
    later.config_map = Some(config_map(&before));
    let after = validate(&later);
    assert_eq!(after.rejected["no-villains"].reason, reason::VECTOR_NOT_READY);
    assert_eq!(after.config, before.config);
}

#[test]
fn invariant_9_sidecars_are_told_of_a_policy_that_was_never_accepted() {
    let mut closed = policy("a-closed", 1, "unknown");
    closed.spec.failure_policy = personaguard_api::FailurePolicy::Closed;
    let mut audit = policy("b-audit", 1, "unknown");
    audit.spec.mode = personaguard_api::Mode::Audit;
    let verdicts = validate(&inputs(vec![closed, audit, policy("c-fine", 1, "evil")]));
    let config = verdicts.config.unwrap();
    assert_eq!(config.policies.len(), 1);
    let told: Vec<_> =
        config.unresolved.iter().map(|p| (p.name.as_str(), p.failure_policy)).collect();
    assert_eq!(told, [("a-closed", personaguard_api::FailurePolicy::Closed)]);
    assert_eq!(config.unresolved[0].failure.reason, reason::VECTOR_NOT_FOUND);
    // One that stays in force as it was is not among them.
    let before = validate(&inputs(vec![policy("no-villains", 3, "evil")]));
    let mut edited = inputs(vec![policy("no-villains", 4, "unknown")]);
    edited.config_map = Some(config_map(&before));
    assert!(validate(&edited).config.unwrap().unresolved.is_empty());
}

#[test]
fn a_policy_of_the_same_name_that_was_made_anew_inherits_nothing() {
    let before = validate(&inputs(vec![policy("no-villains", 3, "evil")]));
    let mut anew = policy("no-villains", 1, "unknown");
    anew.metadata.uid = Some("another".into());
    let mut later = inputs(vec![anew]);
    later.config_map = Some(config_map(&before));
    assert!(validate(&later).in_force("no-villains").is_none());
}

#[test]
fn invariant_7_a_vector_of_another_model_never_reaches_a_sidecar() {
    let mut foreign = inputs(vec![policy("no-villains", 1, "evil")]);
    foreign.vectors.insert("evil".into(), Ok(artefact(b"other weights", 8)));
    let verdicts = validate(&foreign);
    assert_eq!(verdicts.rejected["no-villains"].reason, reason::MODEL_MISMATCH);
    assert!(verdicts.config.unwrap().vectors.is_empty());
    assert!(verdicts.layers.is_empty());
}

#[test]
fn what_does_not_fit_a_config_map_is_refused_from_the_youngest_and_never_truncated() {
    let mut younger = policy("a-younger", 1, "rude");
    younger.metadata.creation_timestamp =
        serde_json::from_value(serde_json::json!("2026-11-24T09:00:00Z")).unwrap();
    let mut large = inputs(vec![younger, policy("b-older", 1, "evil")]);
    large.vectors.insert("evil".into(), Ok(artefact(b"weights", 140_000)));
    large.vectors.insert("rude".into(), Ok(artefact(b"weights", 140_000)));
    let verdicts = validate(&large);
    assert_eq!(verdicts.rejected["a-younger"].reason, reason::CONFIG_TOO_LARGE);
    assert_eq!(verdicts.in_force("b-older").unwrap().traits.len(), 1);
    assert_eq!(verdicts.layers["evil"].len(), 140_000);
}

#[test]
fn without_the_model_or_in_an_excluded_namespace_nothing_is_decided_about_configs() {
    let mut orphaned = inputs(vec![policy("no-villains", 1, "evil")]);
    orphaned.model = None;
    let verdicts = validate(&orphaned);
    assert_eq!(verdicts.rejected["no-villains"].reason, reason::MODEL_NOT_FOUND);
    assert!(verdicts.config.is_none());
    let mut excluded = inputs(vec![policy("no-villains", 1, "evil")]);
    excluded.excluded = Some("Nothing is ever injected here.".into());
    assert_eq!(validate(&excluded).rejected["no-villains"].reason, reason::NAMESPACE_EXCLUDED);
}
