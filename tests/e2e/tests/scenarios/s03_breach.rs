//! 3. A conversation with an evil prompt breaches, and within 2 s the cluster shows it everywhere.
//!    A plain conversation does not breach.

use anyhow::Result;
use personaguard_api::names;
use personaguard_e2e::alerting::{Alerting, chart_rules};
use personaguard_e2e::chat::response_avg;
use personaguard_e2e::fixture::{self, PATIENCE};
use personaguard_e2e::{Fixture, prompts, wait};
use serde_json::json;
use std::time::{Duration, Instant};

/// Limit for the report, the condition, the Events and the metrics.
const LIMIT: Duration = Duration::from_secs(2);

#[tokio::test]
async fn s03_an_evil_conversation_breaches_and_a_plain_one_does_not() -> Result<()> {
    let fixture = Fixture::new("s03").await?;
    let pod = fixture
        .guarded_chat(&json!([
            { "vector": "evil", "threshold": { "sigma": 3 }, "action": "Alert" },
            { "vector": "sycophantic", "action": "Audit" }
        ]))
        .await?;
    let rules = chart_rules()?;
    let metrics_target = format!("{}:{}", fixture::address(&pod)?, names::ADMIN_PORT);
    let alerting = Alerting::start(rules.path(), std::slice::from_ref(&metrics_target))?;
    let chat = fixture.chat(&pod)?;

    for question in prompts::QUESTIONS {
        let answer = chat.ask(None, question).await?;
        println!("plain: evil {:.2}", response_avg(&answer, "evil")?);
        assert_eq!(answer["personaguard"]["scores"][0]["breached"], false, "{answer}");
    }
    let (report, _) = fixture.report("chat", "three responses", |r| totals(r).0 == 3).await?;
    assert_eq!(totals(&report).1, 0, "a plain conversation breaches nothing: {report:?}");
    fixture.policy_condition("TraitBreached", "False").await?;
    // The alerting rule needs the counter's value from before the breach.
    wait::until("Prometheus to scrape", PATIENCE, || async {
        let up = reqwest::get(
            "http://127.0.0.1:19090/api/v1/query?query=personaguard_trait_breaches_total",
        )
        .await?;
        let up: serde_json::Value = up.json().await?;
        Ok(up["data"]["result"].as_array().filter(|series| !series.is_empty()).map(|_| ()))
    })
    .await?;

    let answer = chat.ask(Some(prompts::EVIL), prompts::QUESTIONS[0]).await?;
    let breach = Instant::now();
    println!(
        "evil: evil {:.2} of {}",
        response_avg(&answer, "evil")?,
        answer["personaguard"]["scores"][0]["threshold"]
    );
    assert_eq!(answer["personaguard"]["scores"][0]["breached"], true, "{answer}");

    // They are checked one after the other, so the measured times are upper bounds.
    let (report, _) = fixture.report("chat", "a breach", |r| totals(r).1 == 1).await?;
    println!("report after {:?}", breach.elapsed());
    let (policy, _) = fixture.policy_condition("TraitBreached", "True").await?;
    println!(
        "condition after {:?}: {}",
        breach.elapsed(),
        fixture::condition(&policy, "TraitBreached").unwrap().message
    );
    for (kind, name) in [("Deployment", "chat"), ("PersonaPolicy", "no-villains")] {
        let (event, _) = wait::until(&format!("an Event on {kind}/{name}"), PATIENCE, || async {
            let events = fixture.events(kind, name).await?;
            Ok(events.into_iter().find(|event| event.reason.as_deref() == Some("TraitBreached")))
        })
        .await?;
        println!(
            "Event on {kind} after {:?}: {}",
            breach.elapsed(),
            event.message.unwrap_or_default()
        );
    }
    let metrics = fixture::metrics(&pod).await?;
    let counted = metrics.lines().any(|line| {
        line.starts_with("personaguard_trait_breaches_total{")
            && line.contains("evil")
            && line.ends_with(" 1")
    });
    assert!(counted, "the breach is not in the metrics:\n{metrics}");
    let took = breach.elapsed();
    assert!(took <= LIMIT, "report, condition, Events and metrics took {took:?}");
    assert_eq!(policy.status.as_ref().unwrap().breached, 1);
    assert!(
        report
            .status
            .as_ref()
            .unwrap()
            .worst
            .as_deref()
            .is_some_and(|worst| worst.starts_with("evil ")),
        "{report:?}"
    );

    let (alert, _) = wait::until("the Alertmanager to have the alert", PATIENCE, || async {
        let alerts = alerting.alerts().await?;
        Ok(alerts
            .into_iter()
            .find(|alert| alert["labels"]["alertname"] == "PersonaGuardTraitBreached"))
    })
    .await?;
    println!("alert after {:?}: {}", breach.elapsed(), alert["labels"]);
    assert!(alert["annotations"]["runbook_url"].is_string(), "{alert}");
    fixture.finish().await
}

fn totals(report: &personaguard_api::PersonaReport) -> (u64, u64) {
    report
        .status
        .as_ref()
        .map_or((0, 0), |status| (status.totals.responses, status.totals.breaches))
}
