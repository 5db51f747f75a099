//! No edit that cannot be enforced switches off what is in force.

use super::{enforced, settle};
use crate::fixtures::{artifact, pod, policy, report};
use crate::policy::dereference::{Elsewhere, Inputs};
use crate::policy::fixtures::inputs;
use crate::policy::status::Observation;
use crate::policy::validate::validate;
use crate::vector::Artifact;
use jiff::Timestamp;
use personaguard_api::conditions::reason;
use personaguard_api::{Digest, FailurePolicy, PersonaPolicy, PersonaPolicyStatus};
use personaguard_resolve::Rejection;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Two policies in force, the older of which fails closed; a pod enforces both.
pub(super) fn in_force() -> Inputs {
    let mut older = policy("a-older", 3, "evil");
    older.spec.failure_policy = FailurePolicy::Closed;
    let mut younger = policy("b-younger", 1, "rude");
    younger.metadata.creation_timestamp =
        serde_json::from_value(json!("2026-11-25T08:00:00Z")).unwrap();
    younger.spec.traits[0] = rule(json!({
        "vector": "rude", "action": "Steer", "steer": {"coefficient": -1.0}
    }));
    let mut inputs = inputs(vec![older, younger]);
    inputs.vectors.insert("rude".into(), Ok(artifact(b"weights", 8)));
    inputs.pods = vec![Arc::new(pod("chat-1", Some("smollm2")))];
    settle(&mut inputs);
    let known = enforced(&inputs, "config.yaml");
    assert_eq!(known.len(), 2);
    let report = report("chat-1", &known.iter().collect::<Vec<_>>());
    inputs.reports.insert(report.uid.clone(), report);
    inputs
}

pub(super) fn rule<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

/// The older policy.
pub(super) fn older(inputs: &mut Inputs) -> &mut PersonaPolicy {
    Arc::make_mut(&mut inputs.policies[0])
}

fn traits(inputs: &mut Inputs, traits: Value) {
    older(inputs).spec.traits = rule(traits);
}

fn vector(inputs: &mut Inputs, change: impl FnOnce(&mut Artifact)) {
    let mut vector = artifact(b"weights", 8);
    change(Arc::make_mut(&mut vector));
    inputs.vectors.insert("evil".into(), Ok(vector));
}

fn not_ready(inputs: &mut Inputs, reason: &'static str) {
    inputs.vectors.insert("evil".into(), Err(Rejection::new(reason, "It is not there.")));
}

pub(super) fn status_of(inputs: &Inputs, policy: &PersonaPolicy) -> PersonaPolicyStatus {
    let validated = validate(inputs);
    let observation = Observation {
        policy,
        inputs,
        validated: &validated,
        refusal: None,
        calibrations: Vec::new(),
        workloads: &BTreeMap::new(),
        now: Timestamp::UNIX_EPOCH,
    };
    observation.status().status
}

pub(super) fn condition(status: &PersonaPolicyStatus, type_: &str) -> (String, String, String) {
    let found = status.conditions.iter().find(|it| it.type_ == type_).unwrap();
    (found.status.clone(), found.reason.clone(), found.message.clone())
}

pub(super) type Edit = fn(&mut Inputs);

/// Every edit that cannot be enforced, and the reason that it is given.
pub(super) fn edits() -> Vec<(&'static str, &'static str, Edit)> {
    vec![
        ("the model is deleted", reason::MODEL_NOT_FOUND, |it| it.model = None),
        ("the vector does not exist", reason::VECTOR_NOT_FOUND, |it| {
            traits(it, json!([{"vector": "x", "action": "Block", "threshold": {"projection": 4}}]));
        }),
        ("the vector is deleted", reason::VECTOR_NOT_FOUND, |it| {
            it.vectors.remove("evil");
        }),
        ("the vector is of another model", reason::MODEL_MISMATCH, |it| {
            it.vectors.insert("evil".into(), Ok(artifact(b"other weights", 8)));
        }),
        ("the vector is extracted", reason::VECTOR_NOT_READY, |it| {
            not_ready(it, reason::EXTRACTING);
        }),
        ("the file of the vector is gone", reason::VECTOR_NOT_READY, |it| {
            not_ready(it, reason::ARTIFACT_NOT_FOUND);
        }),
        ("the file of the vector is another", reason::VECTOR_NOT_READY, |it| {
            not_ready(it, reason::DIGEST_MISMATCH);
        }),
        ("the file of the vector is damaged", reason::VECTOR_NOT_READY, |it| {
            not_ready(it, reason::ARTIFACT_INVALID);
        }),
        ("the vector cannot be read", reason::VECTOR_NOT_READY, |it| {
            not_ready(it, reason::UNREADABLE);
        }),
        ("the vector no longer discriminates", reason::NOT_DISCRIMINATIVE, |it| {
            vector(it, |vector| vector.input.not_discriminative = true);
        }),
        ("steering by a vector that does not", reason::DOES_NOT_STEER, |it| {
            vector(it, |vector| vector.input.does_not_steer = true);
            traits(
                it,
                json!([
                    {"vector": "evil", "action": "Steer", "steer": {"coefficient": -1.0}}
                ]),
            );
        }),
        ("sigma without a calibration", reason::CALIBRATION_MISSING, |it| {
            traits(it, json!([{"vector": "evil", "action": "Block", "threshold": {"sigma": 3}}]));
        }),
        ("a quantile without a calibration", reason::CALIBRATION_MISSING, |it| {
            traits(
                it,
                json!([
                    {"vector": "evil", "action": "Block", "threshold": {"quantile": 0.99}}
                ]),
            );
        }),
        ("no threshold", reason::THRESHOLD_INVALID, |it| {
            traits(it, json!([{"vector": "evil", "action": "Block"}]));
        }),
        ("two thresholds", reason::THRESHOLD_INVALID, |it| {
            traits(
                it,
                json!([
                    {"vector": "evil", "action": "Block", "threshold": {"projection": 4,
                     "sigma": 3}}
                ]),
            );
        }),
        ("an empty range", reason::THRESHOLD_INVALID, |it| {
            let range = json!({"range": {"min": 4, "max": -4}});
            traits(it, json!([{"vector": "evil", "action": "Block", "threshold": range}]));
        }),
        ("a threshold that is no number", reason::THRESHOLD_INVALID, |it| {
            let threshold = older(it).spec.traits[0].threshold.as_mut().unwrap();
            threshold.projection = Some(f64::NAN);
        }),
        ("evidence that cannot come together", reason::THRESHOLD_INVALID, |it| {
            older(it).spec.evidence.window = Some(rule(json!({"past": 9, "ofLast": 4})));
        }),
        ("a vector twice", reason::DUPLICATE_VECTOR, |it| {
            let one = json!({"vector": "evil", "action": "Block", "threshold": {"projection": 4}});
            traits(it, json!([one, one]));
        }),
        ("no trait", reason::VECTOR_NOT_FOUND, |it| traits(it, json!([]))),
        ("steering without a coefficient", reason::ACTION_INCOMPLETE, |it| {
            traits(it, json!([{"vector": "evil", "action": "Steer"}]));
        }),
        ("a layer that the file lacks", reason::LAYER_MISSING, |it| {
            traits(
                it,
                json!([{
                    "vector": "evil", "action": "Steer",
                    "steer": {"coefficient": -1.0, "layers": [40]}
                }]),
            );
        }),
        ("what is enforced is sampled", reason::SAMPLING_INVALID, |it| {
            older(it).spec.sampling = Some(rule(json!({"every": 2})));
        }),
        ("a selector that does not parse", reason::SELECTOR_INVALID, |it| {
            older(it).spec.selector = rule(json!({
                "matchExpressions": [{"key": "app", "operator": "Like", "values": ["chat"]}]
            }));
        }),
        ("another placement", reason::PLACEMENT_CONFLICT, |it| {
            let spec = &mut older(it).spec;
            (spec.placement, spec.port) = (rule(json!("Proxy")), Some("http".into()));
        }),
        ("a placement without its port", reason::PLACEMENT_CONFLICT, |it| {
            older(it).spec.placement = rule(json!("Proxy"));
        }),
        ("against a younger policy in force", reason::STEERING_CONFLICT, |it| {
            traits(
                it,
                json!([
                    {"vector": "rude", "action": "Steer", "steer": {"coefficient": 2.0}}
                ]),
            );
        }),
        ("too large for a ConfigMap", reason::CONFIG_TOO_LARGE, |it| {
            it.vectors.insert("huge".into(), Ok(artifact(b"weights", 300_000)));
            traits(
                it,
                json!([
                    {"vector": "huge", "action": "Block", "threshold": {"projection": 4}}
                ]),
            );
        }),
        ("the vector has grown too large", reason::CONFIG_TOO_LARGE, |it| {
            it.vectors.insert("evil".into(), Ok(artifact(b"weights", 300_000)));
        }),
        ("beside an unreadable policy", reason::UNREADABLE, |it| {
            it.unreadable = vec!["PersonaPolicy `c` cannot be read.".into()];
            older(it).spec.failure_policy = FailurePolicy::Open;
        }),
        ("while the model cannot be read", reason::UNREADABLE, |it| {
            it.unreadable = vec!["PersonaModel `smollm2` cannot be read.".into()];
            it.model = None;
        }),
    ]
}

#[test]
fn item_12_no_edit_that_cannot_be_enforced_changes_what_is_in_force() {
    for (case, expected, edit) in edits() {
        let mut inputs = in_force();
        let before = (enforced(&inputs, "config.yaml"), inputs.injection.clone().unwrap());
        older(&mut inputs).metadata.generation = Some(4);
        edit(&mut inputs);
        let status = status_of(&inputs, &inputs.policies[0]);
        settle(&mut inputs);
        assert_eq!(enforced(&inputs, "config.yaml"), before.0, "{case}");
        let injection = inputs.injection.clone().unwrap_or_else(|| panic!("{case}: not injected"));
        let kept = |before: &[_], after: &[_]| before.iter().all(|it| after.contains(it));
        assert!(kept(&before.1.spec.selectors, &injection.spec.selectors), "{case}");
        assert!(kept(&before.1.spec.closed_selectors, &injection.spec.closed_selectors), "{case}");
        assert_eq!(injection.spec.container, before.1.spec.container, "{case}");
        assert_eq!(injection.spec.takeover, before.1.spec.takeover, "{case}");
        // The status says so, and claims no more.
        let (accepted, why, message) = condition(&status, "Accepted");
        assert_eq!((accepted.as_str(), why.as_str()), ("False", expected), "{case}: {message}");
        assert!(message.contains("Generation 3 stays in force"), "{case}: {message}");
        let (ready, why, message) = condition(&status, "Ready");
        assert_eq!((ready.as_str(), why.as_str()), ("False", expected), "{case}");
        assert!(!message.is_empty(), "{case}");
        let (_, _, message) = condition(&status, "Guarded");
        assert!(message.contains("1 pods enforce generation 3"), "{case}: {message}");
        assert_eq!(status.guarded.as_deref(), Some("0/1"), "{case}");
        // And nothing more is written.
        let written = (inputs.config_map.clone(), inputs.injection.clone());
        settle(&mut inputs);
        assert_eq!((&inputs.config_map, &inputs.injection), (&written.0, &written.1), "{case}");
    }
}

#[test]
fn item_12_an_edit_that_cannot_be_enforced_costs_no_other_policy_anything() {
    for (case, _, edit) in edits() {
        let mut inputs = in_force();
        edit(&mut inputs);
        let status = status_of(&inputs, &inputs.policies[1]);
        if inputs.model.is_some() {
            assert_eq!(condition(&status, "Ready").0, "True", "{case}: {status:?}");
        }
    }
}

/// The older policy names another model.
fn moved(inputs: &mut Inputs) -> Arc<PersonaPolicy> {
    let mut policy = inputs.policies.remove(0);
    let edited = Arc::make_mut(&mut policy);
    (edited.spec.model, edited.metadata.generation) = ("another".into(), Some(4));
    inputs.others = vec![Arc::clone(&policy)];
    policy
}

#[test]
fn item_12_a_policy_that_names_a_model_that_does_not_exist_stays_in_force_with_the_one_before() {
    for alone in [false, true] {
        let mut inputs = in_force();
        if alone {
            inputs.policies.truncate(1);
            settle(&mut inputs);
        }
        let before = (enforced(&inputs, "config.yaml"), inputs.injection.clone().unwrap());
        let policy = moved(&mut inputs);
        settle(&mut inputs);
        assert_eq!(enforced(&inputs, "config.yaml"), before.0, "alone: {alone}");
        let injection = inputs.injection.clone().expect("new pods are injected as before");
        assert_eq!(injection.spec.closed_selectors, before.1.spec.closed_selectors);
        // Its own scope says so.
        let mut own = self::inputs(Vec::new());
        own.scope.model = "another".into();
        (own.model, own.policies) = (None, vec![policy]);
        (own.pods, own.reports) = (inputs.pods.clone(), inputs.reports.clone());
        let found = Elsewhere { model: "smollm2".into(), policy: before.0[0].clone() };
        own.elsewhere = BTreeMap::from([(found.policy.uid.clone(), found)]);
        let status = status_of(&own, &own.policies[0]);
        let (accepted, why, message) = condition(&status, "Accepted");
        assert_eq!((accepted.as_str(), why.as_str()), ("False", reason::MODEL_NOT_FOUND));
        assert!(
            message.contains("Generation 3 stays in force meanwhile, with model `smollm2`"),
            "{message}"
        );
        let (_, _, message) = condition(&status, "Guarded");
        assert!(message.contains("1 pods enforce generation 3"), "{message}");
        settle(&mut own);
        assert!(own.config_map.is_none() && own.injection.is_none());
    }
}

#[test]
fn item_12_a_policy_that_moved_is_withdrawn_once_it_is_in_force_with_its_new_model() {
    let mut inputs = in_force();
    inputs.policies.truncate(1);
    settle(&mut inputs);
    let mut found =
        Elsewhere { model: "another".into(), policy: enforced(&inputs, "config.yaml")[0].clone() };
    let policy = moved(&mut inputs);
    // The generation before is in force there: that is not this edit.
    inputs.elsewhere.insert(found.policy.uid.clone(), found.clone());
    settle(&mut inputs);
    assert!(inputs.injection.is_some());
    found.policy.generation = policy.metadata.generation.unwrap();
    inputs.elsewhere.insert(found.policy.uid.clone(), found);
    settle(&mut inputs);
    assert!(inputs.injection.is_none(), "new pods get the new model");
    assert_eq!(enforced(&inputs, "config.yaml").len(), 1, "those that run enforce it still");
    inputs.pods.clear();
    settle(&mut inputs);
    assert!(inputs.config_map.is_none());
}

#[test]
fn item_12_two_edits_that_agree_with_each_other_take_effect_together() {
    let mut inputs = in_force();
    let steer = |coefficient: f64| {
        json!([{"vector": "rude", "action": "Steer", "steer":
     {"coefficient": coefficient}}])
    };
    traits(&mut inputs, steer(2.0));
    settle(&mut inputs);
    let before = enforced(&inputs, "config.yaml").remove(0);
    assert_eq!((before.generation, before.traits[0].vector.as_str()), (3, "evil"), "it conflicts");
    Arc::make_mut(&mut inputs.policies[1]).spec.traits = rule(steer(2.0));
    settle(&mut inputs);
    let steers = |it: &personaguard_wire::ResolvedPolicy| {
        matches!(it.traits[0].action, personaguard_api::Action::Steer(_))
    };
    assert!(enforced(&inputs, "config.yaml").iter().all(steers));
}

#[test]
fn item_12_a_deleted_policy_goes_also_while_the_model_is_missing() {
    let mut inputs = in_force();
    inputs.model = None;
    let deleted = inputs.policies.remove(0);
    inputs.deleted_policies = vec![deleted.metadata.clone()];
    let injection = inputs.injection.clone();
    settle(&mut inputs);
    let names: Vec<_> =
        enforced(&inputs, "config.yaml").into_iter().map(|policy| policy.name).collect();
    assert_eq!(names, ["b-younger"]);
    assert_eq!(inputs.injection, injection);
}

#[test]
fn item_12_a_namespace_that_is_excluded_keeps_what_its_pods_enforce() {
    let mut inputs = in_force();
    let before = enforced(&inputs, "config.yaml");
    inputs.exclusion = Some("Namespace support is labelled so.".into());
    let status = status_of(&inputs, &inputs.policies[0]);
    let (accepted, why, message) = condition(&status, "Accepted");
    assert_eq!((accepted.as_str(), why.as_str()), ("False", reason::NAMESPACE_EXCLUDED));
    assert!(message.contains("Generation 3 stays in force"), "{message}");
    settle(&mut inputs);
    assert_eq!(enforced(&inputs, "config.yaml"), before, "no label of a namespace loosens it");
    assert!(inputs.injection.is_none(), "new pods get none");
    // A policy is withdrawn as ever, and with the last pod there is nothing left.
    let deleted = inputs.policies.remove(0);
    inputs.deleted_policies = vec![deleted.metadata.clone()];
    settle(&mut inputs);
    assert_eq!(enforced(&inputs, "config.yaml").len(), 1);
    inputs.pods.clear();
    settle(&mut inputs);
    assert!(inputs.config_map.is_none());
}

#[test]
fn item_13_a_policy_that_cannot_be_resolved_outlives_an_edit_of_how_the_model_is_served() {
    let mut inputs = in_force();
    traits(
        &mut inputs,
        json!([{"vector": "x", "action": "Block", "threshold": {"projection": 4}}]),
    );
    Arc::make_mut(inputs.model.as_mut().unwrap()).spec.runtime.context_length = 8192;
    settle(&mut inputs);
    let now = enforced(&inputs, "config.yaml");
    assert_eq!((now[0].name.as_str(), now[0].generation), ("a-older", 3));
    assert_eq!(now[0].traits[0].vector, "evil", "the weights are the same, and so is its vector");
    // Not if the weights are others: then its vectors say nothing.
    Arc::make_mut(inputs.model.as_mut().unwrap()).spec.sha256 = Digest::of(b"other weights");
    settle(&mut inputs);
    assert!(enforced(&inputs, "config.yaml").iter().all(|it| it.name != "a-older"));
}
