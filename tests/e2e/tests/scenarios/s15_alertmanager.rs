//! 15. The operator itself sends alerts to an Alertmanager, even if that is down at first, goes
//!     down again and comes back.

use anyhow::{Context, Result};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ListParams, Patch, PatchParams};
use personaguard_e2e::alerting::Alertmanager;
use personaguard_e2e::fixture::{self, PATIENCE, SYSTEM};
use personaguard_e2e::{Fixture, prompts, wait};
use serde_json::json;

const OPERATOR: &str = "personaguard-operator";
const PORT: u16 = 19095;

/// Restarts the operator with these arguments. Returns those before.
async fn restart_operator(fixture: &Fixture, arguments: &[String]) -> Result<Vec<String>> {
    let deployments: Api<Deployment> = Api::namespaced(fixture.client.clone(), SYSTEM);
    let before = deployments.get(OPERATOR).await?.spec.context("a Deployment without a spec")?;
    let before =
        before.template.spec.context("no pod")?.containers[0].args.clone().unwrap_or_default();
    let arguments = if arguments.is_empty() { before.clone() } else { arguments.to_vec() };
    let container = json!({ "name": "operator", "args": arguments });
    let patch = json!({ "spec": { "template": { "spec": { "containers": [container] } } } });
    let patched =
        deployments.patch(OPERATOR, &PatchParams::default(), &Patch::Strategic(&patch)).await?;
    let generation = patched.metadata.generation;
    wait::until("the operator to run with its new arguments", PATIENCE, || async {
        let status = deployments.get(OPERATOR).await?.status.unwrap_or_default();
        let rolled_out = status.observed_generation >= generation && status.replicas == Some(1);
        Ok((rolled_out && status.updated_replicas == Some(1) && status.ready_replicas == Some(1))
            .then_some(()))
    })
    .await?;
    Ok(before)
}

async fn operator_metric(fixture: &Fixture, series: &str) -> Result<Option<()>> {
    let pods: Api<Pod> = Api::namespaced(fixture.client.clone(), SYSTEM);
    let pods = pods.list(&ListParams::default().labels("personaguard.dev/leader=true")).await?;
    let address = fixture::address(pods.items.first().context("no operator leads")?)?.to_owned();
    let metrics = reqwest::get(format!("http://{address}:8080/metrics")).await?.text().await?;
    Ok(metrics.lines().any(|line| line.starts_with(series)).then_some(()))
}

async fn alert(
    alertmanager: &Alertmanager,
    fixture: &Fixture,
    vector: &str,
) -> Result<serde_json::Value> {
    let (alert, took) = wait::until(&format!("the alert of {vector}"), PATIENCE, || async {
        let mut alerts = alertmanager.alerts().await?.into_iter();
        Ok(alerts.find(|alert| {
            alert["labels"]["trait"] == vector && alert["labels"]["namespace"] == fixture.namespace
        }))
    })
    .await?;
    println!("the alert of {vector} came after {took:?}: {}", alert["annotations"]["description"]);
    Ok(alert)
}

#[tokio::test]
async fn s15_an_alertmanager_that_goes_away_and_comes_back_misses_nothing() -> Result<()> {
    let fixture = Fixture::new("s15").await?;
    let evil = json!({ "vector": "evil", "threshold": { "sigma": 3 }, "action": "Alert" });
    fixture.apply_policy("chat", &json!([evil])).await?;
    fixture.policy_condition("Accepted", "True").await?;
    let pod = fixture.deploy_chat("chat", prompts::PLAIN).await?;
    let node = pod
        .status
        .as_ref()
        .and_then(|status| status.host_ip.clone())
        .context("a pod without a node")?;
    let address = format!("{node}:{PORT}");
    let mut arguments = restart_operator(&fixture, &[]).await?;
    let before = arguments.clone();
    arguments.push(format!("--alertmanager-url=http://{address}"));
    restart_operator(&fixture, &arguments).await?;
    let outcome = down_and_back(&fixture, &pod, &address, &evil).await;
    restart_operator(&fixture, &before).await?;
    outcome?;
    fixture.finish().await
}

async fn down_and_back(
    fixture: &Fixture,
    pod: &Pod,
    address: &str,
    evil: &serde_json::Value,
) -> Result<()> {
    fixture.policy_condition("Ready", "True").await?;
    let chat = fixture.chat(pod)?;
    chat.ask(Some(prompts::EVIL), prompts::QUESTIONS[0]).await?;
    let failed = "personaguard_operator_alerts_total{receiver=\"alertmanager\",result=\"failed\"}";
    wait::until("a failed delivery", PATIENCE, || operator_metric(fixture, failed)).await?;

    let first = Alertmanager::start(address)?;
    let received = alert(&first, fixture, "evil").await?;
    assert_eq!(
        (&received["labels"]["alertname"], &received["labels"]["severity"]),
        (&json!("PersonaGuardTraitBreached"), &json!("warning"))
    );
    assert!(
        received["annotations"]["runbook_url"]
            .as_str()
            .is_some_and(|url| url.ends_with("#personaguardtraitbreached")),
        "{received}"
    );
    drop(first);

    // There is a new breach while it is down.
    let always = json!({
        "vector": "sycophantic", "threshold": { "projection": -1000.0 }, "action": "Alert"
    });
    fixture.apply_policy("chat", &json!([evil, always])).await?;
    fixture.policy_condition("Ready", "True").await?;
    chat.ask(None, prompts::QUESTIONS[1]).await?;
    fixture
        .report("chat", "the breach", |report| {
            let traits = report.status.iter().flat_map(|status| &status.traits);
            traits.into_iter().any(|scores| scores.vector == "sycophantic" && scores.breaches == 1)
        })
        .await?;
    let second = Alertmanager::start(address)?;
    alert(&second, fixture, "sycophantic").await?;
    // The new Alertmanager did not know of the one that is still firing.
    alert(&second, fixture, "evil").await?;
    Ok(())
}
