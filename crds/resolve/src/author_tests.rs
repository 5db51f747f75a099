//! Against the author of a policy: of any that is accepted, no more is forgiven than what it says;
//! one that is not accepted is refused as its failure policy says. The oracle reads the JSON.

use crate::fixtures::{model, vectors};
use crate::{Resolution, resolve, resolve_policy, unresolved};
use personaguard_api::{Digest, PersonaPolicy, UnscorableRequests};
use personaguard_wire::{ResolvedPolicy, ResolvedTrait};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Usual numbers, and such as nobody should give.
fn number() -> impl Strategy<Value = f64> {
    prop_oneof![
        6 => -6.0..6.0_f64,
        1 => prop::sample::select(vec![0.0, -0.0, 1e300, -1e300, 4.000_001, 1e-300]),
        1 => prop::num::f64::NORMAL,
    ]
}

fn quantile() -> impl Strategy<Value = f64> {
    prop_oneof![4 => 0.5..0.999_f64, 1 => number(), 1 => Just(1.0)]
}

fn threshold() -> impl Strategy<Value = Value> {
    prop_oneof![
        number().prop_map(|it| json!({ "projection": it })),
        number().prop_map(|it| json!({ "sigma": it })),
        quantile().prop_map(|it| json!({ "quantile": it })),
        (number(), number()).prop_map(|(min, max)| json!({"range": {"min": min, "max": max}})),
        (number(), number()).prop_map(|(a, b)| json!({ "sigma": a, "projection": b })),
        Just(json!({})),
    ]
}

fn steer() -> impl Strategy<Value = Value> {
    (number(), option::of(vec(0..24_u32, 0..4)), option::of((number(), option::of(number()))))
        .prop_map(|(coefficient, layers, when)| {
            let mut steer = json!({ "coefficient": coefficient });
            if let Some(layers) = layers {
                steer["layers"] = json!(layers);
            }
            if let Some((above, until)) = when {
                steer["when"] = json!({ "above": above, "at": "Token", "until": until });
            }
            steer
        })
}

fn a_trait() -> impl Strategy<Value = Value> {
    let actions = vec!["Audit", "Alert", "Steer", "Cap", "Regenerate", "Redact", "Block"];
    let parameters = (
        steer(),
        (option::of(number()), option::of(number())),
        (0..6_u32, number()),
        option::weighted(0.1, Just("steer")),
    );
    let fields = (
        prop::sample::select(vec!["evil", "evil", "sycophantic", "unknown"]),
        prop::sample::select(actions),
        option::weighted(0.9, threshold()),
        option::weighted(
            0.4,
            prop::sample::select(vec!["PromptLast", "ResponseAvg", "AnswerAvg", "ReasoningAvg"]),
        ),
        option::weighted(0.2, (any::<bool>(), any::<bool>())),
    );
    (fields, parameters).prop_map(|((vector, action, threshold, score, requests), given)| {
        let (steer, (floor, ceiling), (attempts, coefficient), misplaced) = given;
        let mut rule = json!({ "vector": vector, "action": action });
        if let Some(threshold) = threshold {
            rule["threshold"] = threshold;
        }
        if let Some(score) = score {
            rule["score"] = json!(score);
        }
        if let Some((block, stricter)) = requests {
            rule["requests"] = json!({ "block": block, "threshold": stricter });
        }
        if action == "Steer" || misplaced.is_some() {
            rule["steer"] = steer;
        }
        match action {
            "Cap" => rule["cap"] = json!({ "floor": floor, "ceiling": ceiling }),
            "Regenerate" => {
                rule["regenerate"] = json!({ "attempts": attempts, "coefficient": coefficient });
            }
            "Redact" => rule["redact"] = json!({ "text": "I cannot say that." }),
            _ => {}
        }
        rule
    })
}

fn selector() -> impl Strategy<Value = Value> {
    let labels = prop::collection::btree_map("[ab]", "[xy]", 0..2);
    let operators = vec!["In", "NotIn", "Exists", "DoesNotExist", "In", "Like"];
    let expression = ("[abc]", prop::sample::select(operators), vec("[xy]", 0..3));
    let expression = expression.prop_map(|(key, operator, values)| {
        let named = ["Exists", "DoesNotExist"].contains(&operator) && values.len() < 3;
        match named {
            true => json!({ "key": key, "operator": operator }),
            false => json!({ "key": key, "operator": operator, "values": values }),
        }
    });
    (labels, vec(expression, 0..3)).prop_map(
        |(labels, expressions)| json!({ "matchLabels": labels, "matchExpressions": expressions }),
    )
}

fn evidence() -> impl Strategy<Value = Value> {
    let window = option::of((0..5_u32, 0..5_u32));
    (prop_oneof![4 => 0..260_u32, 1 => any::<u32>()], window).prop_map(|(tokens, window)| {
        let window = window.map(|(past, of_last)| json!({ "past": past, "ofLast": of_last }));
        match window {
            Some(window) => json!({ "minTokens": tokens, "window": window }),
            None => json!({ "minTokens": tokens }),
        }
    })
}

fn spec() -> impl Strategy<Value = Value> {
    let choice = |values: &[&'static str]| prop::sample::select(values.to_vec());
    (
        choice(&["Enforce", "Enforce", "Audit"]),
        choice(&["Open", "Closed"]),
        option::weighted(0.3, choice(&["Refuse", "Pass"])),
        selector(),
        vec(a_trait(), 0..4),
        option::of(evidence()),
        option::weighted(0.2, (option::of(number()), option::of(0..3_u32))),
        option::weighted(0.1, choice(&["Serve", "Proxy"])),
    )
        .prop_map(
            |(mode, failure, unscorable, selector, traits, evidence, sampling, place)| {
                let mut spec = Map::new();
                let mut set = |field: &str, value: Option<Value>| {
                    spec.extend(value.map(|value| (field.to_owned(), value)));
                };
                set("mode", Some(json!(mode)));
                set("model", Some(json!("smollm2")));
                set("failurePolicy", Some(json!(failure)));
                set("unscorableRequests", unscorable.map(|it| json!(it)));
                set("selector", Some(selector));
                set("traits", Some(json!(traits)));
                set("evidence", evidence);
                let sampling =
                    sampling.map(|(part, every)| json!({"fraction": part, "every": every}));
                set("sampling", sampling);
                set("placement", place.map(|it| json!(it)));
                Value::Object(spec)
            },
        )
}

/// `None` where it does not even parse: no API server and no folder hands that on.
fn parse(name: &str, spec: &Value) -> Option<PersonaPolicy> {
    serde_json::from_value(json!({
        "apiVersion": "personaguard.dev/v1alpha1", "kind": "PersonaPolicy",
        "metadata": { "name": name, "uid": format!("uid-{name}"), "generation": 1 },
        "spec": spec
    }))
    .ok()
}

/// Every combination of labels that could matter.
fn all_labels() -> Vec<BTreeMap<String, String>> {
    let values = [None, Some("x"), Some("y")];
    let mut all = Vec::new();
    for a in values {
        for b in values {
            for c in values {
                let labels = [("a", a), ("b", b), ("c", c)].into_iter();
                let set = labels.filter_map(|(key, it)| Some((key.to_owned(), it?.to_owned())));
                all.push(set.collect());
            }
        }
    }
    all
}

/// As the reference of Kubernetes says.
fn selects(selector: &Value, labels: &BTreeMap<String, String>) -> bool {
    let label = |key: &Value| labels.get(key.as_str().unwrap());
    let named = selector["matchLabels"].as_object().unwrap();
    let named =
        named.iter().all(|(key, value)| labels.get(key).map(String::as_str) == value.as_str());
    named
        && selector["matchExpressions"].as_array().unwrap().iter().all(|it| {
            let listed = |label: &String| {
                it["values"].as_array().unwrap().iter().any(|value| value == label.as_str())
            };
            match it["operator"].as_str().unwrap() {
                "In" => label(&it["key"]).is_some_and(listed),
                "NotIn" => !label(&it["key"]).is_some_and(listed),
                "Exists" => label(&it["key"]).is_some(),
                "DoesNotExist" => label(&it["key"]).is_none(),
                _ => false,
            }
        })
}

/// Past what a score is a breach, by the fixtures' calibrations: mean 1, deviation 0.5, and scores
/// that are spread evenly from 0.
fn bounds(rule: &Value) -> (Option<f64>, Option<f64>) {
    let threshold = &rule["threshold"];
    let highest = if rule["vector"] == "evil" { 199.0 } else { 1999.0 };
    if let Some(sigma) = threshold["sigma"].as_f64() {
        return (None, Some(1.0 + sigma * 0.5));
    }
    if let Some(quantile) = threshold["quantile"].as_f64() {
        return (None, Some(highest * quantile));
    }
    if let Some(max) = threshold["projection"].as_f64() {
        return (None, Some(max));
    }
    (threshold["range"]["min"].as_f64(), threshold["range"]["max"].as_f64())
}

fn close(a: Option<f64>, b: Option<f64>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => (a - b).abs() <= 1e-6 * a.abs().max(1.0),
        (a, b) => a.is_none() && b.is_none(),
    }
}

fn as_written(written: &Value, enforced: &ResolvedTrait) -> Result<(), TestCaseError> {
    let action = written["action"].as_str().unwrap();
    prop_assert_eq!(enforced.action.kind().name(), action);
    prop_assert_eq!(json!(enforced.vector), written["vector"].clone());
    let (min, max) = bounds(written);
    prop_assert!(close(enforced.min, min), "{:?} for {}", enforced.min, written);
    prop_assert!(close(enforced.max, max), "{:?} for {}", enforced.max, written);
    let needs = ["Alert", "Regenerate", "Redact", "Block"].contains(&action);
    prop_assert!(!needs || enforced.max.is_some(), "nothing can pass: {written}");
    prop_assert!([enforced.min, enforced.max].into_iter().flatten().all(f64::is_finite));
    let score = written["score"].as_str().unwrap_or("ResponseAvg");
    prop_assert_eq!(json!(enforced.score), json!(score));
    let asked = enforced.requests.is_some_and(|it| it.block || it.threshold);
    prop_assert!(!asked || enforced.max.is_some(), "stricter than nothing: {written}");
    Ok(())
}

fn no_laxer(spec: &Value, enforced: &ResolvedPolicy) -> Result<(), TestCaseError> {
    prop_assert_eq!(json!(enforced.mode), spec["mode"].clone());
    prop_assert_eq!(json!(enforced.failure_policy), spec["failurePolicy"].clone());
    for labels in all_labels() {
        prop_assert_eq!(enforced.selects(&labels), selects(&spec["selector"], &labels));
    }
    let traits = spec["traits"].as_array().unwrap();
    prop_assert!(!traits.is_empty() && traits.len() == enforced.traits.len());
    for (written, enforced) in traits.iter().zip(&enforced.traits) {
        as_written(written, enforced)?;
    }
    let tokens = spec["evidence"]["minTokens"].as_u64().unwrap_or(8).max(1);
    prop_assert_eq!(u64::from(enforced.evidence.min_tokens), tokens);
    prop_assert!(tokens <= 256);
    if let Some(window) = enforced.evidence.window {
        prop_assert!(window.past >= 1 && window.past <= window.of_last && window.of_last <= 64);
    }
    let acts = |it: &Value| !["Audit", "Alert"].contains(&it["action"].as_str().unwrap());
    let withholds =
        |it: &Value| ["Regenerate", "Redact", "Block"].contains(&it["action"].as_str().unwrap());
    let enforces = spec["mode"] == "Enforce";
    let closed = spec["failurePolicy"] == "Closed";
    if enforces && (closed || traits.iter().any(acts)) {
        prop_assert!(enforced.sampling.is_none(), "what is enforced is sampled");
    }
    if enforces && (closed || traits.iter().any(withholds)) && spec["unscorableRequests"] != "Pass"
    {
        prop_assert_eq!(enforced.unscorable_requests(), UnscorableRequests::Refuse);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn invariant_1_what_is_enforced_is_no_laxer_than_the_accepted_policy_says(spec in spec()) {
        let Some(policy) = parse("p", &spec) else { return Ok(()) };
        let Ok(enforced) = resolve_policy(&policy, &model(), &vectors()) else { return Ok(()) };
        no_laxer(&spec, &enforced)?;
    }

    /// Each that enforces is in force, or its pods' traffic is refused or counted as it says.
    #[test]
    fn invariant_9_no_policy_falls_between_what_is_in_force_and_what_is_not(
        specs in vec(spec(), 1..5)
    ) {
        let written: Vec<_> = specs.iter().enumerate().filter_map(|(index, spec)| {
            Some((spec, parse(&format!("p{index}"), spec)?))
        }).collect();
        let policies: Vec<_> = written.iter().map(|(_, policy)| policy.clone()).collect();
        let Resolution { config, values, rejected } = resolve(&model(), &vectors(), &policies);
        for (spec, policy) in written {
            let name = policy.metadata.name.clone().unwrap();
            match (config.policies.iter().find(|it| it.name == name), rejected.get(&name)) {
                (Some(enforced), None) => no_laxer(spec, enforced)?,
                (None, Some(rejection)) if spec["mode"] == "Enforce" => {
                    let told = unresolved(&policy, rejection).unwrap();
                    prop_assert_eq!(json!(told.failure_policy), spec["failurePolicy"].clone());
                    prop_assert!(!told.failure.message.is_empty());
                }
                (None, Some(_)) => prop_assert!(unresolved(&policy, &rejected[&name]).is_none()),
                found => prop_assert!(false, "{found:?}"),
            }
        }
        // What the sidecar would acknowledge is what the operator expects.
        for policy in &config.policies {
            prop_assert_eq!(policy.digest.clone(), Some(config.enforced(policy)));
            let complete = policy.vectors().all(|name| {
                let known = config.vectors.get(&name).map(|it| it.sha256.clone());
                let bytes = values.get(&name).map(|it| it.iter().flat_map(|v| v.to_le_bytes()));
                known == bytes.map(|bytes| Digest::of(&bytes.collect::<Vec<_>>()))
            });
            prop_assert!(complete, "a vector is missing");
        }
    }
}
