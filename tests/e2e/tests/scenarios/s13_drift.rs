//! 13. The scores of a service have moved from their calibration: its report and an Event say so,
//!     without any breach.

use anyhow::{Context, Result};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use personaguard_api::PersonaReport;
use personaguard_e2e::fixture::PATIENCE;
use personaguard_e2e::{Fixture, prompts, wait};
use serde_json::json;

fn drift(report: &PersonaReport) -> Option<&Condition> {
    report.status.as_ref()?.conditions.iter().find(|condition| condition.type_ == "DriftDetected")
}

#[tokio::test]
async fn s13_drift_is_detected_without_any_breach() -> Result<()> {
    let fixture = Fixture::new("s13").await?;
    // A threshold that no score reaches.
    let rule =
        json!([{ "vector": "evil", "threshold": { "projection": 10000.0 }, "action": "Alert" }]);
    let pod = fixture.guarded_chat(&rule).await?;
    let chat = fixture.chat(&pod)?;
    for question in prompts::QUESTIONS {
        chat.ask(Some(prompts::EVIL), question).await?;
    }
    let moved =
        |report: &PersonaReport| drift(report).is_some_and(|condition| condition.status == "True");
    let (report, took) = fixture.report("chat", "drift", moved).await?;
    let condition = drift(&report).context("no condition")?;
    println!("after {took:?}: {}: {}", condition.reason, condition.message);
    assert!(
        condition.reason == "ScoresMoved" && condition.message.contains("evil"),
        "{condition:?}"
    );
    let status = report.status.context("no status")?;
    assert_eq!(status.totals.breaches, 0);
    let charts = status.traits.iter().find_map(|scores| scores.drift).context("no charts")?;
    assert!(charts.detected && charts.shift > 0.0, "{charts:?}");
    // The Event comes after the status.
    wait::until("the Event", PATIENCE, || async {
        let events = fixture.events("Deployment", "chat").await?;
        Ok(events.iter().any(|event| event.reason.as_deref() == Some("ScoresMoved")).then_some(()))
    })
    .await?;
    fixture.finish().await
}
