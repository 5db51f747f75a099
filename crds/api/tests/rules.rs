//! Tests of the rules that the API server enforces on what users write: each with what it lets
//! through and what not.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use kube::CustomResourceExt;
use personaguard_api::{
    ActionKind, MisplacedParameters, PersonaModel, PersonaPolicy, PersonaVector, TraitRule,
};
use serde_json::{Value, json};

/// Sets a field by its path, in a copy.
fn with(object: &Value, path: &str, value: Value) -> Value {
    let mut object = object.clone();
    *object.pointer_mut(path).unwrap() = value;
    object
}

#[allow(clippy::needless_pass_by_value, reason = "every caller makes it on the spot")]
fn policy(rule: Value) -> Value {
    json!({
        "apiVersion": "personaguard.dev/v1alpha1", "kind": "PersonaPolicy",
        "metadata": { "name": "no-villains" },
        "spec": {
            "mode": "Enforce", "selector": { "matchLabels": { "app": "chat" } }, "model": "smollm2",
            "traits": [rule],
            "placement": "Serve", "failurePolicy": "Open", "evidence": { "minTokens": 8 },
            "recoverAfterSeconds": 600,
            "recordConversations": false
        }
    })
}

fn rule() -> Value {
    json!({
        "vector": "evil", "threshold": { "sigma": 3.0 }, "score": "ResponseAvg", "action": "Block"
    })
}

fn model() -> Value {
    json!({
        "apiVersion": "personaguard.dev/v1alpha1", "kind": "PersonaModel",
        "metadata": { "name": "smollm2" },
        "spec": {
            "engine": "Own",
            "source": { "image": { "reference": "localhost/smollm2:1", "path": "model.gguf" } },
            "sha256": "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
            "runtime": { "device": "Cpu", "contextLength": 2048, "maxConcurrent": 4 }
        }
    })
}

fn vector() -> Value {
    json!({
        "apiVersion": "personaguard.dev/v1alpha1", "kind": "PersonaVector",
        "metadata": { "name": "evil" },
        "spec": {
            "trait": "evil", "model": "smollm2",
            "artifact": { "configMap": { "name": "evil", "key": "evil" } },
            "sha256": "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
        }
    })
}

/// What the API server would say; empty if it would take the object.
fn verdict(object: Value) -> String {
    let result = match object["kind"].as_str().unwrap() {
        "PersonaModel" => serde_json::from_value::<PersonaModel>(object).unwrap().validate_cel(),
        "PersonaVector" => serde_json::from_value::<PersonaVector>(object).unwrap().validate_cel(),
        _ => serde_json::from_value::<PersonaPolicy>(object).unwrap().validate_cel(),
    };
    result.err().map(|errors| errors.to_string()).unwrap_or_default()
}

fn refused(object: Value, sentence: &str) {
    let verdict = verdict(object);
    assert!(verdict.contains(sentence), "{verdict:?} does not say {sentence:?}");
}

fn taken(object: Value) {
    assert_eq!(verdict(object), "");
}

#[test]
fn a_threshold_has_exactly_one_unit() {
    for good in [
        json!({"sigma": 3.0}),
        json!({"quantile": 0.99}),
        json!({"projection": -4.0}),
        json!({"range": {"min": -1.0, "max": 1.0}}),
    ] {
        taken(policy(with(&rule(), "/threshold", good)));
    }
    for bad in [
        json!({}),
        json!({"sigma": 3.0, "quantile": 0.99}),
        json!({"projection": 1.0, "range": {"min": 0.0, "max": 1.0}}),
    ] {
        refused(
            policy(with(&rule(), "/threshold", bad)),
            "exactly one of quantile, sigma, projection and range",
        );
    }
}

#[test]
fn a_range_has_min_below_max() {
    refused(
        policy(with(&rule(), "/threshold", json!({"range": {"min": 2.0, "max": 1.0}}))),
        "range.min must be below range.max",
    );
}

#[test]
fn alert_and_block_need_a_threshold_and_audit_and_steer_do_not() {
    for action in ["Alert", "Block"] {
        refused(
            policy(json!({"vector": "evil", "action": action})),
            "this action needs a threshold",
        );
    }
    taken(policy(json!({"vector": "evil", "action": "Audit"})));
    taken(policy(json!({"vector": "evil", "action": "Steer", "steer": {"coefficient": -1.5}})));
}

#[test]
fn steer_goes_with_action_steer_only() {
    refused(policy(json!({"vector": "evil", "action": "Steer"})), "steer goes with action Steer");
    let mut steered = rule();
    steered["steer"] = json!({"coefficient": -1.0});
    refused(policy(steered), "steer goes with action Steer");
}

#[test]
fn each_action_has_its_own_field_and_no_other() {
    let threshold = json!({"sigma": 3.0});
    let fields = [
        ("Cap", "cap", json!({"ceiling": 2.0, "positions": "Response"})),
        ("Regenerate", "regenerate", json!({"coefficient": -1.0, "attempts": 2})),
        ("Redact", "redact", json!({"text": "[removed]"})),
    ];
    for (action, field, value) in fields {
        let bare = json!({
            "vector": "evil", "threshold": threshold, "score": "ResponseAvg", "action": action
        });
        refused(policy(bare.clone()), &format!("{field} goes with action {action}"));
        let mut whole = bare;
        whole[field] = value.clone();
        taken(policy(whole));
        let mut other = rule();
        other[field] = value;
        refused(policy(other), &format!("{field} goes with action {action}"));
    }
    let mut regenerate = json!({
        "vector": "evil", "threshold": threshold, "score": "PromptLast", "action": "Regenerate",
        "regenerate": {"coefficient": -1.0, "attempts": 2}
    });
    refused(policy(regenerate.clone()), "goes with score ResponseAvg");
    for score in ["ResponseAvg", "AnswerAvg", "ReasoningAvg"] {
        regenerate["score"] = json!(score);
        taken(policy(regenerate.clone()));
    }
}

#[test]
fn every_action_with_parameters_has_a_field_for_them() {
    let crd = serde_json::to_value(PersonaPolicy::crd()).unwrap();
    let schema = crd.pointer("/spec/versions/0/schema/openAPIV3Schema/properties/spec").unwrap();
    let rule = schema.pointer("/properties/traits/items/properties").unwrap();
    for kind in ActionKind::all() {
        let bare = json!({ "vector": "evil", "action": kind });
        let action = serde_json::from_value::<TraitRule>(bare).unwrap().resolved_action();
        match kind.parameters() {
            Some((field, _)) => {
                assert!(rule.get(field).is_some(), "no field {field}");
                assert_eq!(action, Err(MisplacedParameters(kind)));
            }
            None => assert_eq!(action.map(|action| action.kind()), Ok(kind)),
        }
    }
}

#[test]
fn a_cap_has_a_side_and_room() {
    let capped = |mut cap: Value| {
        cap["positions"] = json!("Response");
        policy(json!({"vector": "evil", "score": "ResponseAvg", "action": "Cap", "cap": cap}))
    };
    taken(capped(json!({"floor": -1.0, "ceiling": 2.0})));
    refused(capped(json!({})), "give cap.floor, cap.ceiling or both");
    refused(capped(json!({"floor": 3.0, "ceiling": 2.0})), "cap.floor must not be above");
}

#[test]
fn evidence_and_sampling_make_sense() {
    let window = |past: u32, of_last: u32| {
        with(
            &policy(rule()),
            "/spec/evidence",
            json!({"minTokens": 8, "window": {"past": past, "ofLast": of_last}}),
        )
    };
    taken(window(3, 8));
    refused(window(9, 8), "must not be above window.ofLast");
    let sampled = |sampling: Value, mode: &str, action: &str| {
        let mut policy = policy(with(&rule(), "/action", json!(action)));
        policy["spec"]["mode"] = json!(mode);
        policy["spec"]["sampling"] = sampling;
        policy
    };
    taken(sampled(json!({"every": 10}), "Enforce", "Alert"));
    taken(sampled(json!({"fraction": 0.1}), "Audit", "Block"));
    refused(
        sampled(json!({"every": 10}), "Enforce", "Block"),
        "what is enforced cannot be sampled",
    );
    refused(
        sampled(json!({"every": 10, "fraction": 0.5}), "Audit", "Block"),
        "exactly one of sampling.fraction",
    );
}

#[test]
fn callers_start_from_a_threshold() {
    let asked = |requests: Value| {
        let mut bare = json!({"vector": "evil", "score": "ResponseAvg", "action": "Audit"});
        bare["requests"] = requests;
        policy(bare)
    };
    taken(asked(
        json!({"block": false, "threshold": false, "coefficient": {"min": -2.0, "max": 0.0}}),
    ));
    refused(
        asked(json!({"block": true, "threshold": false})),
        "need a threshold that callers start from",
    );
    refused(
        asked(json!({"block": false, "threshold": false, "coefficient": {"min": 1.0, "max": 0.0}})),
        "coefficient.min must not be above",
    );
}

#[test]
fn conditional_steering_is_of_the_answer() {
    let steered = |positions: &str, when: Value| {
        policy(json!({"vector": "evil", "score": "ResponseAvg", "action": "Steer",
            "steer": {"coefficient": -1.0, "positions": positions, "when": when}}))
    };
    taken(steered("Response", json!({"at": "Token", "above": 2.0, "until": 1.0})));
    refused(
        steered("All", json!({"at": "PromptLast", "above": 2.0})),
        "goes with positions Response",
    );
    refused(
        steered("Response", json!({"at": "Token", "above": 2.0, "until": 3.0})),
        "when.until must not be above",
    );
    refused(
        steered("Response", json!({"at": "PromptLast", "above": 2.0, "until": 1.0})),
        "goes with at Token",
    );
}

#[test]
fn a_coefficient_beyond_the_limit_is_refused_with_the_limit() {
    // The Rust type refuses such a value before the rule could: the schema is asked alone.
    let check = |coefficient: f64| {
        kube::core::cel::validate_cel_schema::<personaguard_api::Steering>(
            &json!({"coefficient": coefficient}),
            None,
        )
    };
    assert!(check(-4.0).is_ok() && check(4.0).is_ok());
    for coefficient in [-4.01, 9.0] {
        assert!(check(coefficient).unwrap_err().to_string().contains("between -4 and 4"));
    }
}

#[test]
fn a_digest_is_64_hexadecimal_digits() {
    let check = |text: &str| {
        kube::core::cel::validate_cel_schema::<personaguard_api::Digest>(&json!(text), None)
    };
    assert!(check(&"0af3".repeat(16)).is_ok());
    for wrong in ["", "0af3", &"0AF3".repeat(16), &"0af3".repeat(17)] {
        assert!(check(wrong).unwrap_err().to_string().contains("64 lower-case hexadecimal digits"));
    }
}

#[test]
fn a_selector_knows_four_operators_and_when_they_take_values() {
    let selected = |expression: Value| {
        with(&policy(rule()), "/spec/selector", json!({"matchExpressions": [expression]}))
    };
    taken(selected(json!({"key": "tier", "operator": "In", "values": ["a"]})));
    taken(selected(json!({"key": "tier", "operator": "DoesNotExist"})));
    refused(
        selected(json!({"key": "tier", "operator": "Near", "values": ["a"]})),
        "knows the operators In",
    );
    refused(
        selected(json!({"key": "tier", "operator": "In"})),
        "needs values with operators In and NotIn",
    );
    refused(
        selected(json!({"key": "tier", "operator": "Exists", "values": ["a"]})),
        "needs values with operators",
    );
}

#[test]
fn a_model_has_one_source_and_gpus_only_with_cuda() {
    taken(model());
    refused(with(&model(), "/spec/source", json!({})), "give exactly one source");
    let both = json!({
        "image": {"reference": "a", "path": "b"},
        "persistentVolumeClaim": {"claimName": "c", "path": "d"}
    });
    refused(with(&model(), "/spec/source", both), "give exactly one source");
    let mut gpus = with(&model(), "/spec/runtime/device", json!("Cuda"));
    gpus["spec"]["runtime"]["gpus"] = json!(2);
    taken(gpus.clone());
    refused(with(&gpus, "/spec/runtime/device", json!("Cpu")), "gpus goes with device Cuda");
}

#[test]
fn a_hub_is_a_source_with_a_volume_of_one_kind() {
    let hub = json!({"repo": "acme/tiny", "revision": "main", "file": "tiny.gguf"});
    taken(with(&model(), "/spec/source", json!({"hub": hub})));
    let mut both = model();
    both["spec"]["source"]["hub"] = hub.clone();
    refused(both, "give exactly one source: image, persistentVolumeClaim or hub");
    for (field, value) in [("claimName", "models"), ("sizeLimit", "5Gi")] {
        let mut one = hub.clone();
        one[field] = json!(value);
        taken(with(&model(), "/spec/source", json!({"hub": one})));
    }
    let mut two = hub;
    two["claimName"] = json!("models");
    two["sizeLimit"] = json!("5Gi");
    refused(with(&model(), "/spec/source", json!({"hub": two})), "sizeLimit is that of the pod's");
}

#[test]
fn names_that_become_labels_are_short() {
    let long = json!("a".repeat(64));
    taken(vector());
    refused(with(&vector(), "/metadata/name", long.clone()), "at most 63 characters");
    refused(with(&model(), "/metadata/name", long), "at most 63 characters");
}

#[test]
fn a_vector_is_imported_or_extracted() {
    let mut extracted = vector();
    extracted["spec"]
        .as_object_mut()
        .unwrap()
        .retain(|key, _| !["artifact", "sha256"].contains(&key.as_str()));
    taken(extracted.clone());
    extracted["spec"]["extraction"] =
        json!({ "tokens": 32, "questions": 10, "rollouts": 2, "seed": 1 });
    taken(extracted.clone());
    refused(with(&extracted, "/spec/trait", json!("pompous")), "describe the trait in description");
    let mut described = with(&extracted, "/spec/trait", json!("pompous"));
    described["spec"]["description"] = json!("pompous: speaks of itself in lofty words");
    taken(described);
    let mut both = vector();
    both["spec"]["extraction"] = json!({ "tokens": 32, "questions": 10, "rollouts": 2, "seed": 1 });
    refused(both, "not both");
    let mut half = vector();
    half["spec"].as_object_mut().unwrap().remove("sha256");
    refused(half, "go together");
}

#[test]
fn placement_proxy_names_a_port_and_leaves_activations_alone() {
    let proxied = |rule: Value| {
        let mut policy = policy(rule);
        (policy["spec"]["placement"], policy["spec"]["port"]) = (json!("Proxy"), json!("http"));
        policy
    };
    taken(proxied(rule()));
    let mut portless = proxied(rule());
    portless["spec"].as_object_mut().unwrap().remove("port");
    refused(portless, "port goes with placement Proxy");
    refused(
        with(&proxied(rule()), "/spec/placement", json!("Serve")),
        "port goes with placement Proxy",
    );
    let steer = json!({
        "vector": "evil", "score": "ResponseAvg", "action": "Steer",
        "steer": {"coefficient": -1.0, "positions": "Response"}
    });
    refused(proxied(steer), "activations cannot be changed");
    let mut redact = rule();
    (redact["action"], redact["redact"]) = (json!("Redact"), json!({ "text": "" }));
    redact["requests"] = json!({ "block": true, "threshold": true });
    taken(proxied(redact.clone()));
    redact["requests"]["coefficient"] = json!({ "min": -1.0, "max": 0.0 });
    refused(proxied(redact), "callers cannot steer");
}

#[test]
fn placement_engine_names_a_port_and_takes_every_action() {
    let engine = |rule: Value| {
        let mut policy = policy(rule);
        (policy["spec"]["placement"], policy["spec"]["port"]) = (json!("Engine"), json!("http"));
        policy
    };
    taken(engine(rule()));
    taken(engine(json!({
        "vector": "evil", "score": "ResponseAvg", "action": "Steer",
        "steer": {"coefficient": -1.0, "positions": "Response"},
        "requests": {
            "block": false, "threshold": false, "coefficient": { "min": -1.0, "max": 0.0 }
        }
    })));
    taken(engine(json!({
        "vector": "evil", "score": "ResponseAvg", "action": "Cap",
        "cap": {"ceiling": 4.0, "positions": "Response"}
    })));
    let mut portless = engine(rule());
    portless["spec"].as_object_mut().unwrap().remove("port");
    refused(portless, "port goes with placement Proxy or Engine");
}

#[test]
fn a_model_of_vllms_has_no_source_and_any_other_has_one() {
    let mut vllm = with(&model(), "/spec/engine", json!("Vllm"));
    refused(vllm.clone(), "leave source out");
    vllm["spec"].as_object_mut().unwrap().remove("source");
    taken(vllm.clone());
    refused(with(&vllm, "/spec/engine", json!("Own")), "give their source");
}

#[test]
fn jobs_start_vllm_as_the_model_says_where_vllm_runs_it() {
    let mut vllm = with(&model(), "/spec/engine", json!("Vllm"));
    vllm["spec"].as_object_mut().unwrap().remove("source");
    let server = |field: &str, value: Value| {
        let mut model = vllm.clone();
        model["spec"]["vllm"] = json!({ "image": "vllm/vllm-openai:v0.32.0" });
        model["spec"]["vllm"][field] = value;
        model
    };
    taken(server("args", json!(["/models/qwen", "--dtype=bfloat16"])));
    taken(server("tolerations", json!([{ "key": "nvidia.com/gpu", "operator": "Exists" }])));
    let mut own = model();
    own["spec"]["vllm"] = json!({ "image": "vllm/vllm-openai:v0.32.0" });
    refused(own, "where engine is Vllm: leave it out");

    let secret = json!({ "secretKeyRef": { "name": "personaguard-hub", "key": "token" } });
    let variable = |name: &str, field: &str, value: &Value| {
        let mut variable = json!({ "name": name });
        variable[field] = value.clone();
        server("env", json!([variable]))
    };
    taken(variable("HF_TOKEN", "valueFrom", &secret));
    taken(variable("PYTHONPATH", "value", &json!("/own")));
    refused(variable("PYTHONPATH", "valueFrom", &secret), "give them as value");
    refused(variable("PERSONAGUARD_LAYERS", "value", &json!("15")), "leave them out");
    refused(server("env", json!([{ "name": "HF_TOKEN" }])), "either value or valueFrom");

    let volume = |path: &str| server("volumes", json!([{ "mountPath": path, "claimName": "c" }]));
    taken(volume("/models"));
    taken(volume("/tmp/cache"));
    for own in ["/tmp", "/dev/shm", "/run/personaguard", "/run/personaguard/plugin"] {
        refused(volume(own), "mount it elsewhere");
    }
    refused(server("volumes", json!([{ "mountPath": "/models" }])), "either claimName or image");
}
