//! 11. Bad requests get errors in OpenAI's format, and the sidecar keeps serving.

use anyhow::{Context, Result};
use personaguard_e2e::{Fixture, containers, prompts, variable};
use serde_json::{Value, json};
use std::process::Command;

const REQUESTS: &str = include_str!("bad_requests.py");

#[tokio::test]
async fn s11_bad_requests_get_openai_errors_and_the_sidecar_keeps_serving() -> Result<()> {
    let fixture = Fixture::new("s11").await?;
    fixture
        .apply_policy(
            "chat",
            &json!([{ "vector": "evil", "threshold": { "sigma": 3 }, "action": "Alert" }]),
        )
        .await?;
    fixture.policy_condition("Accepted", "True").await?;
    let pod = fixture.deploy_chat("chat", prompts::PLAIN).await?;
    // The API listens on the pod's loopback only, so the client runs in its network namespace.
    let pid = containers::processes(&pod, "personaguard")?[0].to_string();
    let output = Command::new("nsenter")
        .args(["-t", &pid, "-n", &variable("PERSONAGUARD_TEST_PYTHON")?, "-c", REQUESTS, "8790"])
        .output()
        .context("nsenter cannot be started")?;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let cases: Vec<Value> = serde_json::from_slice(&output.stdout)?;
    assert!(cases.len() >= 10, "{cases:?}");
    for case in &cases {
        println!("{case}");
        assert_eq!(case["status"], case["expected"], "{case}");
        assert!(
            case["error"]["message"].as_str().is_some_and(|message| !message.is_empty()),
            "{case}"
        );
        assert!(case["error"]["type"].is_string(), "{case}");
        for field in ["param", "code"] {
            assert!(
                case["error"].as_object().is_some_and(|error| error.contains_key(field)),
                "{case}"
            );
        }
        assert_eq!(case["serving_after"], true, "{case}");
    }
    // The API cannot be reached at the pod's address.
    let address = personaguard_e2e::fixture::address(&pod)?;
    assert!(
        reqwest::get(format!("http://{address}:8790/v1/models")).await.is_err(),
        "the API is open to the network"
    );
    fixture.finish().await
}
