//! 18. Thresholds from the service's own traffic: scores are collected in mode Audit, and the
//!     thresholds take effect with mode Enforce. A policy that enforces too early is rejected,
//!     keeps collecting, and is accepted once there are enough responses.

use anyhow::{Context, Result};
use kube::api::Api;
use personaguard_api::{PersonaPolicy, PersonaReport};
use personaguard_e2e::chat::{Chat, request};
use personaguard_e2e::fixture::{PATIENCE, condition};
use personaguard_e2e::{Fixture, objects, prompts, wait};
use serde_json::{Value, json};

const RESPONSES: usize = 50;

fn policy(fixture: &Fixture, mode: &str) -> Value {
    let rule = json!([{ "vector": "evil", "threshold": { "sigma": 2.0 }, "action": "Block" }]);
    let mut policy = objects::policy(&fixture.namespace, &json!({ "app": "chat" }), &rule);
    policy["spec"]["mode"] = json!(mode);
    policy["spec"]["calibration"] = json!({ "from": "Traffic", "minResponses": RESPONSES });
    policy
}

async fn ask(chat: &Chat, system: &str, question: &str, tokens: u32) -> Result<Value> {
    let mut body = request(Some(system), question);
    body["max_tokens"] = json!(tokens);
    Ok(chat.send(&body).await?.error_for_status()?.json().await?)
}

async fn collect(chat: &Chat, from: usize, to: usize) -> Result<()> {
    for number in from..to {
        ask(chat, prompts::PLAIN, &format!("What is {number} plus {}?", number % 7), 8).await?;
    }
    Ok(())
}

async fn calibrated(
    fixture: &Fixture,
    what: &str,
    expected: impl Fn(&str, &str) -> bool,
) -> Result<PersonaPolicy> {
    let policies: Api<PersonaPolicy> = fixture.api();
    let (policy, took) =
        wait::until(&format!("condition Calibrated: {what}"), PATIENCE, || async {
            let policy = policies.get("no-villains").await?;
            Ok(condition(&policy, "Calibrated")
                .is_some_and(|c| expected(&c.status, &c.message))
                .then_some(policy))
        })
        .await?;
    println!(
        "after {took:?}: {}",
        condition(&policy, "Calibrated").context("no condition")?.message
    );
    Ok(policy)
}

#[tokio::test]
async fn s18_thresholds_follow_from_the_services_own_traffic() -> Result<()> {
    let fixture = Fixture::new("s18").await?;
    fixture.apply(&policy(&fixture, "Audit")).await?;
    fixture.policy_condition("Accepted", "True").await?;
    calibrated(&fixture, "nothing yet", |status, message| {
        status == "False" && message.starts_with("0 of 50")
    })
    .await?;
    let pod = fixture.deploy_chat("chat", prompts::PLAIN).await?;
    fixture.policy_condition("Ready", "True").await?;
    let chat = fixture.chat(&pod)?;
    collect(&chat, 0, 10).await?;
    calibrated(&fixture, "ten", |_, message| message.starts_with("10 of 50")).await?;

    // Too early: the previous generation stays in force and keeps collecting.
    fixture.apply(&policy(&fixture, "Enforce")).await?;
    let (early, _) = fixture.policy_condition("Accepted", "False").await?;
    let accepted = condition(&early, "Accepted").context("no condition")?;
    assert_eq!(accepted.reason, "CalibrationMissing", "{}", accepted.message);
    assert!(accepted.message.contains("10 of 50"), "{}", accepted.message);
    collect(&chat, 10, RESPONSES).await?;
    let done = calibrated(&fixture, "enough", |status, _| status == "True").await?;
    let known = done.status.context("no status")?.calibrations.pop().context("no calibration")?;
    assert_eq!((known.vector.as_str(), known.count), ("evil", RESPONSES as u64));
    assert!(known.standard_deviation > 0.0, "{known:?}");
    fixture.policy_condition("Ready", "True").await?;

    // Now evil answers are blocked, at a threshold that follows from the traffic.
    let mut blocked = 0;
    for question in prompts::QUESTIONS {
        let answer = ask(&chat, prompts::EVIL, question, 48).await?;
        blocked += usize::from(answer["choices"][0]["finish_reason"] == "content_filter");
    }
    assert!(blocked > 0, "no evil answer was blocked");
    let breached = |report: &PersonaReport| {
        report.status.as_ref().is_some_and(|status| status.totals.breaches > 0)
    };
    let (report, _) = fixture.report("chat", "a breach", breached).await?;
    let traits = report.status.context("no status")?.traits;
    let breach =
        traits.iter().find_map(|scores| scores.last_breach.as_ref()).context("no breach")?;
    let threshold = known.mean + 2.0 * known.standard_deviation;
    assert!((breach.threshold - threshold).abs() < 1e-3, "{} is not {threshold}", breach.threshold);

    // Later responses do not change the calibration.
    let policies: Api<PersonaPolicy> = fixture.api();
    let after = policies.get("no-villains").await?.status.context("no status")?.calibrations;
    assert_eq!(after, [known]);
    fixture.finish().await
}
