//! 8. A bad policy is refused by the API server, or by a condition if only the operator can know.
//!    The message says what to do.

use anyhow::Result;
use personaguard_e2e::{Fixture, fixture, objects, wait};
use serde_json::{Value, json};
use std::io::Write;
use std::process::{Command, Stdio};

fn kubectl_apply(manifest: &Value) -> Result<(bool, String)> {
    kubectl(&["apply", "-f", "-"], manifest)
}

/// Returns whether it succeeded, and its stderr.
fn kubectl(arguments: &[&str], manifest: &Value) -> Result<(bool, String)> {
    let mut kubectl = Command::new("kubectl")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    kubectl.stdin.take().unwrap().write_all(manifest.to_string().as_bytes())?;
    let output = kubectl.wait_with_output()?;
    Ok((output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned()))
}

#[tokio::test]
async fn s08_a_bad_policy_is_refused_with_a_message_that_says_what_to_do() -> Result<()> {
    let fixture = Fixture::new("s08").await?;
    let good = json!({ "vector": "evil", "threshold": { "sigma": 3 }, "action": "Alert" });
    let policy =
        |traits: Value| objects::policy(&fixture.namespace, &json!({ "app": "chat" }), &traits);
    let with = |path: &str, value: Value| {
        let mut manifest = policy(json!([good]));
        *manifest.pointer_mut(path).unwrap_or_else(|| panic!("{path}")) = value;
        manifest
    };

    let mut threshold_elsewhere = policy(json!([good]));
    threshold_elsewhere["spec"]["thresholds"] = json!({ "sycophantic": { "sigma": 3 } });
    let mut no_mode = policy(json!([good]));
    no_mode["spec"].as_object_mut().unwrap().remove("mode");
    let steer = |coefficient: f64| {
        let steer = json!({ "coefficient": coefficient });
        json!([{ "vector": "evil", "action": "Steer", "steer": steer }])
    };

    for (case, manifest, mentioned) in [
        (
            "threshold on a trait that is not listed",
            threshold_elsewhere,
            "unknown field \"spec.thresholds\"",
        ),
        ("no mode", no_mode, "spec.mode: Required value"),
        ("unknown mode", with("/spec/mode", json!("Observe")), "Unsupported value: \"Observe\""),
        (
            "min above max",
            with("/spec/traits/0/threshold", json!({ "range": { "min": 5, "max": -5 } })),
            "range.min must be below range.max",
        ),
        (
            "two thresholds",
            with("/spec/traits/0/threshold", json!({ "sigma": 3, "projection": 1.5 })),
            "exactly one of quantile, sigma, projection and range",
        ),
        (
            "no threshold",
            with("/spec/traits/0/threshold", json!({})),
            "exactly one of quantile, sigma, projection and range",
        ),
        (
            "an action without its threshold",
            policy(json!([{ "vector": "evil", "action": "Block" }])),
            "needs a threshold",
        ),
        (
            "a quantile past one",
            with("/spec/traits/0/threshold", json!({ "quantile": 1.5 })),
            "should be less than or equal to",
        ),
        ("coefficient above the limit", policy(steer(9.0)), "must lie between -4 and 4"),
        ("coefficient below the limit", policy(steer(-9.0)), "must lie between -4 and 4"),
        (
            "Steer without a coefficient",
            policy(json!([{ "vector": "evil", "action": "Steer" }])),
            "steer.coefficient",
        ),
        (
            "a coefficient without Steer",
            with(
                "/spec/traits/0",
                json!({
                    "vector": "evil", "threshold": { "sigma": 3 }, "action": "Alert",
                    "steer": { "coefficient": 1 }
                }),
            ),
            "steer goes with action Steer",
        ),
        ("the same vector twice", policy(json!([good, good])), "Duplicate value"),
        ("no trait at all", policy(json!([])), "at least 1 items"),
        (
            "unknown action",
            with("/spec/traits/0/action", json!("Shout")),
            "Unsupported value: \"Shout\"",
        ),
    ] {
        let (accepted, stderr) = kubectl_apply(&manifest)?;
        println!("{case}: {}", stderr.trim());
        assert!(!accepted, "{case} was accepted");
        assert!(stderr.contains(mentioned), "{case}: `{mentioned}` is not in `{stderr}`");
    }

    // Only the operator can know these.
    for (case, traits, model, reason, mentioned) in [
        (
            "unknown vector",
            json!([{ "vector": "no-such-vector", "threshold": { "sigma": 3 }, "action": "Alert" }]),
            "smollm2-135m",
            "VectorNotFound",
            "no-such-vector",
        ),
        ("unknown model", json!([good]), "no-such-model", "ModelNotFound", "no-such-model"),
        (
            "a quantile that the calibration is too small for",
            json!([{ "vector": "evil", "threshold": { "quantile": 0.99999 }, "action": "Alert" }]),
            "smollm2-135m",
            "CalibrationMissing",
            "evil",
        ),
    ] {
        let mut manifest = policy(traits);
        manifest["spec"]["model"] = json!(model);
        let (accepted, stderr) = kubectl_apply(&manifest)?;
        assert!(accepted, "{case}: {stderr}");
        let (policy, _) = fixture.policy_condition("Accepted", "False").await?;
        let accepted = fixture::condition(&policy, "Accepted").unwrap();
        println!("{case}: {}: {}", accepted.reason, accepted.message);
        assert_eq!(accepted.reason, reason, "{case}");
        assert!(accepted.message.contains(mentioned), "{case}: {}", accepted.message);
        assert_eq!(
            fixture::condition(&policy, "Ready").map(|c| c.status.as_str()),
            Some("False"),
            "{case}"
        );
    }
    // One that fails closed lets no pod start for which it cannot be enforced.
    let mut closed = policy(json!([good]));
    (closed["spec"]["model"], closed["spec"]["failurePolicy"]) =
        (json!("no-such-model"), json!("Closed"));
    assert!(kubectl_apply(&closed)?.0);
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": "early", "namespace": fixture.namespace, "labels": { "app": "chat" }
        },
        "spec": { "containers": [{ "name": "app", "image": "localhost/never-pulled" }] }
    });
    let (refusal, _) = wait::until("a pod to be refused", fixture::PATIENCE, || async {
        let (created, stderr) = kubectl(&["apply", "--dry-run=server", "-f", "-"], &pod)?;
        Ok((!created).then_some(stderr))
    })
    .await?;
    println!("early: {refusal}");
    assert!(refusal.contains("kubectl get personapolicies"), "{refusal}");
    // Once corrected, it is accepted.
    assert!(kubectl_apply(&policy(json!([good])))?.0);
    fixture.policy_condition("Accepted", "True").await?;
    fixture.finish().await
}
