use super::*;
use personaguard_terms::{API_VERSION, Action, Evidence, FailurePolicy, Layer, Mode, Score};
use proptest::prelude::*;
use serde_json::Value;

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
        ("score", |it| it.policies[0].traits[0].score = Score::ReasoningAvg),
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
        ("context", |it| it.model.context_length = 64),
        ("bodies", |it| it.model.max_request_bytes = Some(1)),
        ("deadline", |it| it.model.scoring_deadline_seconds = Some(0)),
        ("requests", |it| it.model.max_concurrent = 0),
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

/// Every place of a text, as a JSON pointer.
fn places(value: &Value, at: &str, found: &mut Vec<String>) {
    found.push(at.to_owned());
    match value {
        Value::Object(fields) => {
            fields.iter().for_each(|(key, value)| places(value, &format!("{at}/{key}"), found));
        }
        Value::Array(items) => {
            let items = items.iter().enumerate();
            items.for_each(|(index, value)| places(value, &format!("{at}/{index}"), found));
        }
        _ => {}
    }
}

/// One edit of a place by somebody who knows the format.
fn edit(value: &mut Value, how: u8, number: f64) {
    *value = match (how, value.take()) {
        (0, Value::Array(mut items)) => {
            items.pop();
            Value::Array(items)
        }
        (0, Value::Object(mut fields)) => {
            let last = fields.keys().next_back().cloned();
            last.and_then(|key| fields.remove(&key));
            Value::Object(fields)
        }
        (0, Value::Bool(it)) => Value::Bool(!it),
        (1, Value::Number(_)) => serde_json::json!(number),
        (0, Value::Number(it)) => match it.as_i64() {
            Some(whole) => serde_json::json!(whole + 1),
            None => serde_json::json!(it.as_f64().map(|it| it + 1.0)),
        },
        (0, Value::String(text)) => Value::String(format!("{text}x")),
        (1, Value::String(text)) => match text.as_str() {
            "Enforce" => "Audit".into(),
            "Closed" => "Open".into(),
            "Block" => "Alert".into(),
            "ResponseAvg" => "PromptLast".into(),
            // Another digest.
            text if text.len() == 64 => Digest::of(text.as_bytes()).as_str().into(),
            text => text.to_uppercase().into(),
        },
        (_, Value::Null) => serde_json::json!(number),
        (_, _) => Value::Null,
    };
}

proptest! {
    /// The operator computes it from what it resolved, the sidecar from what it read.
    #[test]
    fn the_digest_survives_the_file(max in prop::num::f64::NORMAL | prop::num::f64::ZERO) {
        let written = config(max);
        let read = GuardConfig::from_yaml(written.to_yaml().unwrap().as_bytes()).unwrap();
        prop_assert_eq!(digest(&written), digest(&read));
    }

    /// Against an editor of the namespace: whatever is changed in the text where the policy has
    /// something to say is refused, or shows in what the sidecar acknowledges.
    #[test]
    fn invariant_4_no_edit_of_a_config_is_acknowledged_as_genuine(
        place in any::<prop::sample::Index>(), how in 0..3_u8, number in -1e9..1e9_f64
    ) {
        let mut genuine = config(4.0);
        let policy = &mut genuine.policies[0];
        policy.failure_policy = FailurePolicy::Closed;
        policy.selector.match_labels.insert("app".to_owned(), "chat".to_owned());
        let vector = genuine.vectors.get_mut("evil").unwrap();
        vector.baseline = Some(crate::Baseline { mean: 1.0, standard_deviation: 0.5 });
        let mut text = serde_json::to_value(&genuine).unwrap();
        let mut all = Vec::new();
        places(&text, "", &mut all);
        let place = place.get(&all);
        edit(text.pointer_mut(place).unwrap(), how, number);
        let Ok(read) = GuardConfig::from_yaml(text.to_string().as_bytes()) else { return Ok(()) };
        let acknowledged = read.policies.iter().any(|it| {
            it.uid == "u" && it.generation == 3 && read.enforced(it) == digest(&genuine)
        });
        prop_assert!(!acknowledged || read == genuine, "{place}: {text}");
    }
}
