//! 19. What actions do to answers: steering and caps at several layers, steering that is backed
//!     off, and redaction in both placements.

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::Pod;
use personaguard_api::names;
use personaguard_e2e::chat::{Chat, request, response_avg, text};
use personaguard_e2e::fixture::{self, PATIENCE, model_manifest};
use personaguard_e2e::{Fixture, objects, prompts, wait};
use serde_json::{Value, json};

const REDACTED: &str = "[taken back]";

fn redacting() -> Value {
    json!([{
        "vector": "evil", "threshold": { "sigma": 3 }, "action": "Redact",
        "redact": { "text": REDACTED }
    }])
}

/// A gauge of the sidecar.
async fn gauge(pod: &Pod, name: &str) -> Result<f64> {
    let metrics = fixture::metrics(pod).await?;
    let line = metrics
        .lines()
        .find_map(|line| line.strip_prefix(name))
        .with_context(|| format!("no {name}"))?;
    Ok(line.trim().parse()?)
}

/// Applies traits and waits until they are in force.
async fn enforce(fixture: &Fixture, traits: &Value) -> Result<()> {
    fixture.apply_policy("chat", traits).await?;
    fixture.policy_condition("Ready", "True").await?;
    Ok(())
}

async fn evil(chat: &Chat) -> Result<(String, f64)> {
    let answer = chat.ask(Some(prompts::EVIL), prompts::QUESTIONS[0]).await?;
    Ok((text(&answer).to_owned(), response_avg(&answer, "evil")?))
}

#[tokio::test]
async fn s19_answers_are_steered_capped_and_redacted_and_steering_is_backed_off() -> Result<()> {
    let fixture = Fixture::new("s19").await?;
    let pod = fixture.watched_chat().await?;
    let chat = fixture.chat(&pod)?;
    let (own, score) = evil(&chat).await?;

    // Away from the trait, by the vector's increment at each of these layers. They are all below
    // the layer that is measured.
    let layers: Vec<_> = (prompts::EVIL_LAYER - 6..prompts::EVIL_LAYER).collect();
    let steer = json!({ "coefficient": -2, "layers": layers, "coherence": { "backOff": false } });
    enforce(&fixture, &json!([{ "vector": "evil", "action": "Steer", "steer": steer }])).await?;
    let (steered, lower) = evil(&chat).await?;
    println!("steered: {score:.1} to {lower:.1}");
    assert!(steered != own && lower < score, "{score} to {lower}");

    // A ceiling one layer below, far under the answer's score there.
    let below = json!({ "layer": prompts::EVIL_LAYER - 1, "ceiling": score - 20.0 });
    let cap = json!({ "ceiling": score - 20.0, "layers": [below] });
    enforce(&fixture, &json!([{ "vector": "evil", "action": "Cap", "cap": cap }])).await?;
    let (capped, lower) = evil(&chat).await?;
    println!("capped: {score:.1} to {lower:.1}");
    assert!(capped != own && lower < score, "{score} to {lower}");

    // No answer is as likely as this requires, so steering is backed off to nothing.
    let steer =
        json!({ "coefficient": -2, "layers": layers, "coherence": { "minLogLikelihood": 0 } });
    enforce(&fixture, &json!([{ "vector": "evil", "action": "Steer", "steer": steer }])).await?;
    assert_eq!(evil(&chat).await?.0, steered);
    wait::until("steering to be backed off completely", PATIENCE, || async {
        evil(&chat).await?;
        Ok((gauge(&pod, "personaguard_steering_scale ").await? == 0.0).then_some(()))
    })
    .await?;
    assert_eq!(evil(&chat).await?.0, own, "without steering");
    let incoherent = |report: &personaguard_api::PersonaReport| {
        report.status.as_ref().is_some_and(|status| status.totals.incoherent >= 3)
    };
    fixture.report("chat", "incoherent answers", incoherent).await?;

    enforce(&fixture, &redacting()).await?;
    let answer = chat.ask(Some(prompts::EVIL), prompts::QUESTIONS[0]).await?;
    assert_redacted(&answer, &own);
    fixture.finish().await
}

/// Whole sentences of the model's own answer, then the policy's text.
fn assert_redacted(answer: &Value, own: &str) {
    assert_eq!(answer["choices"][0]["finish_reason"], "content_filter", "{answer}");
    let kept = text(answer).strip_suffix(REDACTED).unwrap_or_else(|| panic!("{answer}"));
    assert!(own.starts_with(kept) && kept.len() < own.len(), "{answer}");
}

#[tokio::test]
async fn s19_answers_of_another_server_are_redacted() -> Result<()> {
    let fixture = Fixture::new("s19p").await?;
    let mut policy = objects::policy(&fixture.namespace, &json!({ "app": "llm" }), &redacting());
    (policy["spec"]["placement"], policy["spec"]["port"]) = (json!("Proxy"), json!("http"));
    fixture.apply(&policy).await?;
    fixture.policy_condition("Accepted", "True").await?;
    fixture.apply(&objects::llm_config(&fixture.namespace, "llm", &model_manifest()?)).await?;
    fixture.apply(&objects::llm_server(&fixture.namespace, "llm")).await?;
    let pod = fixture.ready_pod("llm").await?;
    fixture.policy_condition("Ready", "True").await?;
    let address = fixture::address(&pod)?;
    let mut body = request(Some(prompts::EVIL), prompts::QUESTIONS[0]);
    body.as_object_mut().into_iter().for_each(|body| drop(body.remove("personaguard")));
    let answer = async |port: u16| -> Result<Value> {
        Ok(Chat::new(&format!("{address}:{port}"))?.send(&body).await?.json().await?)
    };
    assert_redacted(&answer(names::API_PORT).await?, text(&answer(8000).await?));
    fixture.finish().await
}
