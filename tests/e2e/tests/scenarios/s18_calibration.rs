//! 18. Thresholds of the service's own traffic: collected in mode Audit, numbers only, in force
//!     with mode Enforce; a policy that enforces too early says so, goes on collecting, and is
//!     accepted as soon as there are enough.

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
    wish: impl Fn(&str, &str) -> bool,
) -> Result<PersonaPolicy> {
    let policies: Api<PersonaPolicy> = fixture.api();
    let (policy, took) =
        wait::until(&format!("condition Calibrated: {what}"), PATIENCE, || async {
            let policy = policies.get("no-villains").await?;
            Ok(condition(&policy, "Calibrated")
                .is_some_and(|c| wish(&c.status, &c.message))
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

    // Too early: what was in force stays, and goes on collecting.
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

    // In force: what lies far above is stopped at a threshold that is the traffic's own.
    let mut stopped = 0;
    for question in prompts::QUESTIONS {
        let answer = ask(&chat, prompts::EVIL, question, 48).await?;
        stopped += usize::from(answer["choices"][0]["finish_reason"] == "content_filter");
    }
    assert!(stopped > 0, "no evil answer was stopped");
    let breached = |report: &PersonaReport| {
        report.status.as_ref().is_some_and(|status| status.totals.breaches > 0)
    };
    let (report, _) = fixture.report("chat", "a breach", breached).await?;
    let traits = report.status.context("no status")?.traits;
    let breach =
        traits.iter().find_map(|scores| scores.last_breach.as_ref()).context("no breach")?;
    let threshold = known.mean + 2.0 * known.standard_deviation;
    assert!((breach.threshold - threshold).abs() < 1e-3, "{} is not {threshold}", breach.threshold);

    // What comes now is not calibrated on any more.
    let policies: Api<PersonaPolicy> = fixture.api();
    let after = policies.get("no-villains").await?.status.context("no status")?.calibrations;
    assert_eq!(after, [known]);
    fixture.finish().await
}
