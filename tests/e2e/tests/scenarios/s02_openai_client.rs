//! 2. The stock `openai` Python client works with the guarded app, with and without streaming.

use anyhow::{Context, Result};
use personaguard_e2e::{Fixture, fixture, variable};
use serde_json::{Value, json};
use std::process::Command;

const CLIENT: &str = include_str!("openai_client.py");

#[tokio::test]
async fn s02_the_stock_openai_client_works_with_and_without_streaming() -> Result<()> {
    let fixture = Fixture::new("s02").await?;
    fixture
        .apply_policy(
            "chat",
            &json!([{ "vector": "evil", "threshold": { "sigma": 3 }, "action": "Alert" }]),
        )
        .await?;
    fixture.policy_condition("Accepted", "True").await?;
    let pod = fixture.deploy_chat("chat", "You are a helpful assistant.").await?;
    let output = Command::new(variable("PERSONAGUARD_TEST_PYTHON")?)
        .args(["-c", CLIENT, &format!("http://{}:8080/v1", fixture::address(&pod)?)])
        .output()
        .context("the Python client cannot be started")?;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let printed: Value = serde_json::from_slice(&output.stdout)?;
    assert_eq!(printed["whole"], printed["streamed"], "the same greedy answer, whole and streamed");
    assert!(!printed["whole"].as_str().unwrap().is_empty());
    assert_eq!(printed["usage"], printed["stream_usage"]);
    assert!(printed["usage"]["completion_tokens"].as_u64().unwrap() > 0);
    assert!(printed["chunks"].as_u64().unwrap() > 3, "a stream has several chunks: {printed}");
    assert_eq!(printed["models"], json!(["smollm2-135m"]));
    assert!(printed["scores"][0]["response_avg"].is_number(), "{printed}");
    assert_eq!(
        printed["error_type"], "NotFoundError",
        "for an unknown model the client raises NotFoundError"
    );
    fixture.finish().await
}
