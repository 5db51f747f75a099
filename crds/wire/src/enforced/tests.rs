use super::*;
use personaguard_terms::{API_VERSION, Action, Evidence, FailurePolicy, Layer, Mode, Score};
use proptest::prelude::*;

fn config(max: f64) -> GuardConfig {
    let text = format!(
        "apiVersion: {API_VERSION}
kind: GuardConfig
model:
  {{name: m, file: f, sha256: '{0}', contextLength: 512, maxConcurrent: 1}}
vectors:
  evil: {{trait: evil, layer: 3, modelDigest: '{0}', sha256: '{1}'}}
policies: []",
        Digest::of(b"weights"),
        Digest::of(b"values")
    );
    let mut config = GuardConfig::from_yaml(text.as_bytes()).unwrap();
    let rule = serde_json::json!({ "vector": "evil", "score": Score::default(), "max": max,
        "action": Action::Block });
    config.policies.push(ResolvedPolicy {
        name: "p".to_owned(),
        uid: "u".to_owned(),
        generation: 3,
        digest: None,
        mode: Mode::Enforce,
        selector: crate::Selector::default(),
        failure_policy: FailurePolicy::Open,
        unscorable_requests: None,
        evidence: Evidence::default(),
        sampling: None,
        record_conversations: false,
        traits: vec![serde_json::from_value(rule).unwrap()],
    });
    config
}

fn digest(config: &GuardConfig) -> Digest {
    config.enforced(&config.policies[0])
}

#[test]
fn issue_15_14_whatever_is_loosened_in_the_text_changes_the_digest() {
    let genuine = config(4.0);
    type Edit = (&'static str, fn(&mut GuardConfig));
    let edits: &[Edit] = &[
        ("threshold", |it| it.policies[0].traits[0].max = Some(1e9)),
        ("no threshold", |it| it.policies[0].traits[0].max = None),
        ("infinite threshold", |it| it.policies[0].traits[0].max = Some(f64::INFINITY)),
        ("action", |it| it.policies[0].traits[0].action = Action::Audit),
        ("mode", |it| it.policies[0].mode = Mode::Audit),
        ("selector", |it| {
            it.policies[0].selector.match_labels.insert("a".to_owned(), "b".to_owned());
        }),
        ("evidence", |it| it.policies[0].evidence.min_tokens = 100_000),
        ("no traits", |it| it.policies[0].traits.clear()),
        ("recording", |it| it.policies[0].record_conversations = true),
        ("layer", |it| it.vectors.get_mut("evil").unwrap().layer = Layer(4)),
        ("values", |it| it.vectors.get_mut("evil").unwrap().sha256 = Digest::of(b"zeros")),
        ("weights", |it| it.vectors.get_mut("evil").unwrap().model_digest = Digest::of(b"other")),
        ("baseline", |it| {
            let baseline = crate::Baseline { mean: 0.0, standard_deviation: 9.0 };
            it.vectors.get_mut("evil").unwrap().baseline = Some(baseline);
        }),
        ("no vector", |it| it.vectors.clear()),
    ];
    for (what, edit) in edits {
        let mut loosened = genuine.clone();
        edit(&mut loosened);
        assert_ne!(digest(&loosened), digest(&genuine), "{what}");
    }
}

#[test]
fn what_the_text_says_of_its_own_digest_does_not_matter() {
    let genuine = config(4.0);
    let mut claims = genuine.clone();
    claims.policies[0].digest = Some(Digest::of(b"whatever"));
    assert_eq!(digest(&claims), digest(&genuine));
}

proptest! {
    /// The operator computes it from what it resolved, the sidecar from what it read.
    #[test]
    fn the_digest_survives_the_file(max in prop::num::f64::NORMAL | prop::num::f64::ZERO) {
        let written = config(max);
        let read = GuardConfig::from_yaml(written.to_yaml().unwrap().as_bytes()).unwrap();
        prop_assert_eq!(digest(&written), digest(&read));
    }
}
