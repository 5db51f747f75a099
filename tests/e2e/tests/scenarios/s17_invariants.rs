//! 17. Invariants of the sidecar on a real cluster: nothing past a threshold leaves, Audit changes
//!     nothing, no text leaves the pod, and a score does not depend on other requests in the batch.

use anyhow::{Context, Result};
use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, LogParams};
use personaguard_api::names;
use personaguard_e2e::chat::{Chat, request, response_avg, text};
use personaguard_e2e::fixture::{self, SYSTEM};
use personaguard_e2e::{Fixture, prompts};
use serde_json::{Value, json};

/// A word that no model would generate.
const CANARY: &str = "Xylotrombonist";

fn traits(action: &str) -> Value {
    json!([{ "vector": "evil", "threshold": { "sigma": 3 }, "action": action }])
}

/// The text of a streamed answer, and why it ended.
async fn streamed(chat: &Chat, system: &str, question: &str) -> Result<(String, String)> {
    let mut body = request(Some(system), question);
    body["stream"] = json!(true);
    let mut pieces = chat.send(&body).await?.bytes_stream();
    let mut all = Vec::new();
    while let Some(piece) = pieces.next().await {
        all.extend_from_slice(&piece?);
    }
    let (mut text, mut finish) = (String::new(), String::new());
    for data in String::from_utf8(all)?.lines().filter_map(|line| line.strip_prefix("data: ")) {
        let Ok(event) = serde_json::from_str::<Value>(data) else { continue };
        text.push_str(event["choices"][0]["delta"]["content"].as_str().unwrap_or_default());
        if let Some(reason) = event["choices"][0]["finish_reason"].as_str() {
            finish = reason.to_owned();
        }
    }
    Ok((text, finish))
}

#[tokio::test]
async fn s17_invariant_1_and_2_audit_changes_nothing_and_nothing_past_a_threshold_leaves()
-> Result<()> {
    let fixture = Fixture::new("s17").await?;
    // With a threshold that no score passes, the answers are the model's own.
    let pod = fixture.watched_chat().await?;
    let chat = fixture.chat(&pod)?;
    let mut own = Vec::new();
    for question in prompts::QUESTIONS {
        own.push(text(&chat.ask(Some(prompts::EVIL), question).await?).to_owned());
    }

    fixture.apply_policy("chat", &traits("Audit")).await?;
    fixture.policy_condition("Ready", "True").await?;
    for (question, own) in prompts::QUESTIONS.iter().zip(&own) {
        let answer = chat.ask(Some(prompts::EVIL), question).await?;
        assert_eq!(answer["personaguard"]["scores"][0]["breached"], true, "{answer}");
        assert_eq!(text(&answer), own, "invariant 2");
        assert_eq!(
            streamed(&chat, prompts::EVIL, question).await?.0,
            *own,
            "invariant 2, streamed"
        );
    }

    fixture.apply_policy("chat", &traits("Block")).await?;
    fixture.policy_condition("Ready", "True").await?;
    for (question, own) in prompts::QUESTIONS.iter().zip(&own) {
        let answer = chat.ask(Some(prompts::EVIL), question).await?;
        let (in_stream, finish) = streamed(&chat, prompts::EVIL, question).await?;
        println!("blocked after {} of {} bytes", in_stream.len(), own.len());
        for (received, finish) in [
            (text(&answer), answer["choices"][0]["finish_reason"].as_str()),
            (&in_stream, Some(&finish)),
        ] {
            assert_eq!(finish, Some("content_filter"), "invariant 1: {answer}");
            assert!(
                own.starts_with(received) && received.len() < own.len(),
                "invariant 1: `{received}` of `{own}`"
            );
        }
        assert_eq!(text(&answer), in_stream, "the same leaves, whole and streamed");
    }
    fixture.finish().await
}

#[tokio::test]
async fn s17_invariant_5_no_text_of_a_conversation_leaves_the_pod() -> Result<()> {
    let fixture = Fixture::new("s17t").await?;
    let pod = fixture.guarded_chat(&traits("Block")).await?;
    let chat = fixture.chat(&pod)?;
    let system = format!("{} Your name is {CANARY}.", prompts::EVIL);
    let answer = chat.ask(Some(&system), &format!("{CANARY}, {}", prompts::QUESTIONS[0])).await?;
    assert_eq!(answer["choices"][0]["finish_reason"], "content_filter", "{answer}");
    let mut malformed = request(None, CANARY);
    malformed["max_tokens"] = json!(CANARY);
    assert_eq!(chat.send(&malformed).await?.status(), 400);
    let (report, _) = fixture
        .report("chat", "the breach", |r| r.status.as_ref().is_some_and(|s| s.totals.breaches == 1))
        .await?;

    let address = fixture::address(&pod)?;
    let metrics = reqwest::get(format!("http://{address}:{}/metrics", names::ADMIN_PORT))
        .await?
        .text()
        .await?;
    assert!(metrics.contains("personaguard_trait_breaches_total"));
    let pods: Api<Pod> = fixture.api();
    let sidecar =
        LogParams { container: Some(names::CONTAINER.to_owned()), ..LogParams::default() };
    let log = pods.logs(pod.metadata.name.as_deref().context("no name")?, &sidecar).await?;
    assert!(!log.is_empty());
    let operators: Api<Pod> = Api::namespaced(fixture.client.clone(), SYSTEM);
    let leader = operators
        .list(&kube::api::ListParams::default().labels("personaguard.dev/leader=true"))
        .await?;
    let leader = leader
        .items
        .first()
        .and_then(|pod| pod.metadata.name.clone())
        .context("no operator leads")?;
    let operator = operators.logs(&leader, &LogParams::default()).await?;
    let (policy, _) = fixture.policy_condition("TraitBreached", "True").await?;
    let mut events = fixture.events("Deployment", "chat").await?;
    events.extend(fixture.events("PersonaPolicy", "no-villains").await?);
    assert!(!events.is_empty());
    for (what, text) in [
        ("metrics", metrics),
        ("the sidecar's log", log),
        ("the operator's log", operator),
        ("the report", serde_json::to_string(&report)?),
        ("the policy", serde_json::to_string(&policy)?),
        ("Events", serde_json::to_string(&events)?),
    ] {
        assert!(
            !text.to_lowercase().contains(&CANARY.to_lowercase()),
            "text of a conversation is in {what}"
        );
    }
    fixture.finish().await
}

#[tokio::test]
async fn s17_invariant_8_neighbours_do_not_move_a_score() -> Result<()> {
    let fixture = Fixture::new("s17b").await?;
    let pod = fixture.guarded_chat(&traits("Alert")).await?;
    let chat = fixture.chat(&pod)?;
    let alone = chat.ask(None, prompts::QUESTIONS[0]).await?;
    let (together, _, _, _) = futures::future::try_join4(
        chat.ask(None, prompts::QUESTIONS[0]),
        chat.ask(Some(prompts::EVIL), prompts::QUESTIONS[1]),
        chat.ask(None, prompts::QUESTIONS[2]),
        chat.ask(Some(prompts::EVIL), prompts::QUESTIONS[0]),
    )
    .await?;
    assert_eq!(text(&alone), text(&together));
    let (alone, together) = (response_avg(&alone, "evil")?, response_avg(&together, "evil")?);
    assert!(
        (alone - together).abs() <= 1e-3 * alone.abs().max(1.0),
        "{alone} alone, {together} in a batch"
    );
    fixture.finish().await
}
