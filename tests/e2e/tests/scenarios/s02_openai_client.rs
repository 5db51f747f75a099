//! 2. The stock `openai` Python client chats through the guarded app, streaming and not.

use anyhow::{Context, Result};
use personaguard_e2e::{Fixture, fixture, variable};
use serde_json::{Value, json};
use std::process::Command;

const CLIENT: &str = include_str!("openai_client.py");

#[tokio::test]
async fn s02_the_stock_openai_client_chats_streaming_and_not() -> Result<()> {
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
    let said: Value = serde_json::from_slice(&output.stdout)?;
    assert_eq!(said["whole"], said["streamed"], "the same greedy answer, whole and in a stream");
    assert!(!said["whole"].as_str().unwrap().is_empty());
    assert_eq!(said["usage"], said["stream_usage"]);
    assert!(said["usage"]["completion_tokens"].as_u64().unwrap() > 0);
    assert!(said["chunks"].as_u64().unwrap() > 3, "a stream comes in pieces: {said}");
    assert_eq!(said["models"], json!(["smollm2-135m"]));
    assert!(said["scores"][0]["response_avg"].is_number(), "{said}");
    assert_eq!(
        said["error_type"], "NotFoundError",
        "an unknown model is the client's own NotFoundError"
    );
    fixture.finish().await
}
