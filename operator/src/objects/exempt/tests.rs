use super::*;
use serde_json::{Value, json};

#[allow(clippy::needless_pass_by_value, reason = "every caller makes it on the spot")]
fn found(spec: Value) -> Option<&'static str> {
    let mut pod = json!({ "metadata": { "name": "a" }, "spec": spec });
    pod["spec"]["containers"] = json!([]);
    exempt(&serde_json::from_value(pod).unwrap())
}

#[test]
fn issue_15_20_a_pod_that_can_only_run_on_windows_is_told_however_it_says_so() {
    let terms = |terms: Value| {
        json!({ "affinity": { "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": { "nodeSelectorTerms": terms }
        } } })
    };
    let os = |values: &[&str]| {
        json!({ "matchExpressions": [
            { "key": "kubernetes.io/os", "operator": "In", "values": values }
        ] })
    };
    for spec in [
        json!({ "os": { "name": "windows" } }),
        json!({ "nodeSelector": { "kubernetes.io/os": "windows" } }),
        json!({ "nodeSelector": { "beta.kubernetes.io/os": "windows", "a": "b" } }),
        terms(json!([os(&["windows"])])),
        terms(json!([os(&["windows"]), os(&["windows"])])),
    ] {
        assert_eq!(found(spec.clone()), Some("for Windows nodes"), "{spec}");
    }
    for spec in [
        json!({}),
        json!({ "os": { "name": "linux" } }),
        json!({ "nodeSelector": { "kubernetes.io/arch": "arm64" } }),
        terms(json!([os(&["windows", "linux"])])),
        terms(json!([os(&["windows"]), os(&["linux"])])),
        terms(json!([])),
    ] {
        assert_eq!(found(spec.clone()), None, "{spec}");
    }
}
