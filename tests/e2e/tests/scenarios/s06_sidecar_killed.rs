//! 6. The sidecar is killed in mid-stream: the client gets an error, and the sidecar comes back
//!    with its policy.

use anyhow::{Result, bail};
use futures::StreamExt;
use personaguard_e2e::fixture::PATIENCE;
use personaguard_e2e::{Fixture, chat, containers, prompts, wait};
use serde_json::json;
use std::process::Command;
use std::time::Duration;

#[tokio::test]
async fn s06_a_killed_sidecar_ends_the_stream_with_an_error_and_comes_back_guarding() -> Result<()>
{
    let fixture = Fixture::new("s06").await?;
    let pod = fixture
        .guarded_chat(
            &json!([{ "vector": "evil", "threshold": { "sigma": 3 }, "action": "Alert" }]),
        )
        .await?;
    let client = fixture.chat(&pod)?;
    let mut body = chat::request(None, "Tell me a very long story about a lighthouse.");
    body["stream"] = json!(true);
    body["max_tokens"] = json!(1500);
    let mut stream = client.send(&body).await?.bytes_stream();
    let mut received = String::new();
    while received.matches("data:").count() < 5 {
        let Some(piece) = stream.next().await else { bail!("the stream ended early: {received}") };
        received.push_str(&String::from_utf8_lossy(&piece?));
    }
    for pid in containers::processes(&pod, "personaguard")? {
        assert!(Command::new("kill").args(["-9", &pid.to_string()]).status()?.success());
    }
    // Either the connection breaks, or the app passes on an error in the stream. It never ends
    // normally.
    let ended = tokio::time::timeout(PATIENCE, async {
        let mut broken = false;
        while let Some(piece) = stream.next().await {
            match piece {
                Ok(piece) => received.push_str(&String::from_utf8_lossy(&piece)),
                Err(_) => broken = true,
            }
        }
        broken
    })
    .await;
    let broken = ended.unwrap_or_else(|_| panic!("silence after the kill: {received}"));
    assert!(broken || received.contains("\"error\""), "no error after the kill: {received}");
    assert!(!received.contains("[DONE]"), "a normal end after the kill: {received}");

    let (answer, took) = wait::until("guarded answers again", PATIENCE, || async {
        Ok(Some(client.ask(Some(prompts::EVIL), prompts::QUESTIONS[0]).await?))
    })
    .await?;
    println!("it answers again {took:?} after the kill");
    assert_eq!(answer["personaguard"]["scores"][0]["breached"], true, "with its policy: {answer}");
    wait::until("the kubelet to report the restart", PATIENCE, || async {
        let pod = fixture.ready_pod("chat").await?;
        let sidecar = pod
            .status
            .iter()
            .flat_map(|s| s.init_container_statuses.iter().flatten())
            .find(|c| c.name == "personaguard");
        Ok(sidecar.is_some_and(|c| c.restart_count == 1).then_some(()))
    })
    .await?;
    // What the killed process had not pushed is lost, but nothing that was reported is lost or
    // doubled.
    tokio::time::sleep(Duration::from_secs(1)).await;
    fixture
        .report("chat", "the breach after the restart", |r| {
            r.status.as_ref().is_some_and(|s| s.totals.breaches == 1)
        })
        .await?;
    fixture.finish().await
}
