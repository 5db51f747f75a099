use crate::fixtures::{model, policy, rule, sigma, vectors};
use crate::resolve_policy;
use personaguard_api::conditions::reason;
use personaguard_api::{ActionKind, PersonaPolicy};
use serde_json::{Value, json};

/// A policy that is accepted, as JSON.
fn accepted() -> Value {
    let policy = policy("p", "chat", vec![rule("evil", sigma(3.0), ActionKind::Block)]);
    serde_json::to_value(policy).unwrap()
}

fn refusal(change: impl Fn(&mut Value)) -> Option<&'static str> {
    let mut raw = accepted();
    change(&mut raw["spec"]);
    // What does not parse is no policy, for the operator as for a sidecar.
    let policy: PersonaPolicy = serde_json::from_value(raw).ok()?;
    resolve_policy(&policy, &model(), &vectors()).err().map(|rejection| rejection.reason)
}

#[test]
fn item_12_what_the_api_server_would_refuse_is_refused_without_it() {
    assert_eq!(refusal(|_| {}), None);
    let of_trait: [(&str, Value, &str); 14] = [
        (
            "block from nowhere",
            json!({"action": "Audit", "threshold": null,
            "requests": {"block": true}}),
            reason::THRESHOLD_INVALID,
        ),
        (
            "stricter than nothing",
            json!({"action": "Audit", "threshold": null,
            "requests": {"threshold": true}}),
            reason::THRESHOLD_INVALID,
        ),
        (
            "a range the wrong way",
            json!({"requests": {"coefficient": {"min": 1, "max": -1}}}),
            reason::ACTION_INCOMPLETE,
        ),
        ("sigma below", json!({"threshold": {"sigma": -1}}), reason::THRESHOLD_INVALID),
        ("sigma far", json!({"threshold": {"sigma": 1e9}}), reason::THRESHOLD_INVALID),
        ("quantile low", json!({"threshold": {"quantile": 0.1}}), reason::THRESHOLD_INVALID),
        ("quantile past 1", json!({"threshold": {"quantile": 1.5}}), reason::THRESHOLD_INVALID),
        ("quantile negative", json!({"threshold": {"quantile": -3}}), reason::THRESHOLD_INVALID),
        (
            "no attempt",
            json!({"action": "Regenerate", "regenerate": {"attempts": 0,
            "coefficient": -1}}),
            reason::ACTION_INCOMPLETE,
        ),
        (
            "attempts",
            json!({"action": "Regenerate", "regenerate": {"attempts": 4_000_000_000_u32,
            "coefficient": -1}}),
            reason::ACTION_INCOMPLETE,
        ),
        (
            "a long text",
            json!({"action": "Redact", "redact": {"text": "x".repeat(2001)}}),
            reason::ACTION_INCOMPLETE,
        ),
        (
            "layers to steer",
            json!({"action": "Steer", "steer": {"coefficient": -1,
            "layers": (1..=65).collect::<Vec<_>>()}}),
            reason::ACTION_INCOMPLETE,
        ),
        (
            "layers to cap",
            json!({"action": "Cap", "cap": {"layers": (1..=65)
            .map(|layer| json!({"layer": layer, "ceiling": 1})).collect::<Vec<_>>()}}),
            reason::ACTION_INCOMPLETE,
        ),
        (
            "until of a prompt",
            json!({"action": "Steer", "steer": {"coefficient": -1,
            "when": {"above": 1, "until": 0}}}),
            reason::ACTION_INCOMPLETE,
        ),
    ];
    for (case, change, expected) in of_trait {
        let change = |spec: &mut Value| {
            for (field, value) in change.as_object().unwrap() {
                spec["traits"][0][field] = value.clone();
            }
        };
        assert_eq!(refusal(change), Some(expected), "{case}");
    }
    let expression = |operator: &str, values: Value| {
        let one = json!({"key": "app", "operator": operator, "values": values});
        json!({"matchExpressions": [one]})
    };
    let of_policy: [(&str, &str, Value, &str); 11] = [
        ("In without values", "selector", expression("In", json!([])), reason::SELECTOR_INVALID),
        ("NotIn without", "selector", expression("NotIn", json!([])), reason::SELECTOR_INVALID),
        ("Exists with", "selector", expression("Exists", json!(["a"])), reason::SELECTOR_INVALID),
        (
            "DoesNotExist with",
            "selector",
            expression("DoesNotExist", json!(["a"])),
            reason::SELECTOR_INVALID,
        ),
        ("evidence", "evidence", json!({"minTokens": 257}), reason::THRESHOLD_INVALID),
        (
            "window",
            "evidence",
            json!({"window": {"past": 1, "ofLast": 65}}),
            reason::THRESHOLD_INVALID,
        ),
        (
            "two responses",
            "calibration",
            json!({"from": "Traffic", "minResponses": 2}),
            reason::THRESHOLD_INVALID,
        ),
        (
            "no end",
            "calibration",
            json!({"from": "Traffic", "minResponses": 4_000_000_000_u32}),
            reason::THRESHOLD_INVALID,
        ),
        ("recovered at once", "recoverAfterSeconds", json!(0), reason::THRESHOLD_INVALID),
        (
            "never recovered",
            "recoverAfterSeconds",
            json!(4_000_000_000_u32),
            reason::THRESHOLD_INVALID,
        ),
        (
            "traits",
            "traits",
            (0..17)
                .map(|i| {
                    json!({"vector": format!("v{i}"),
            "action": "Audit"})
                })
                .collect(),
            reason::ACTION_INCOMPLETE,
        ),
    ];
    for (case, field, value, expected) in of_policy {
        assert_eq!(refusal(|spec| spec[field] = value.clone()), Some(expected), "{case}");
    }
}
