//! 5. While the operator is down, chats stay guarded, and new pods are injected and guarded, too.
//!    When it is back, all counts are exact.

use anyhow::Result;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams};
use personaguard_e2e::fixture::{PATIENCE, SYSTEM};
use personaguard_e2e::{Fixture, prompts, wait};
use serde_json::json;

async fn scale_operator(fixture: &Fixture, replicas: i32) -> Result<()> {
    let deployments: Api<Deployment> = Api::namespaced(fixture.client.clone(), SYSTEM);
    let patch = json!({ "spec": { "replicas": replicas } });
    deployments
        .patch_scale("personaguard-operator", &PatchParams::default(), &Patch::Merge(&patch))
        .await?;
    let pods: Api<Pod> = Api::namespaced(fixture.client.clone(), SYSTEM);
    if replicas == 0 {
        // Without a grace period, as if they crashed.
        for pod in
            pods.list(&ListParams::default().labels("app.kubernetes.io/component=operator")).await?
        {
            let name = pod.metadata.name.unwrap_or_default();
            pods.delete(
                &name,
                &DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() },
            )
            .await
            .ok();
        }
    }
    wait::until(&format!("{replicas} operator pods"), PATIENCE, || async {
        let deployment = deployments.get("personaguard-operator").await?;
        let status = deployment.status.unwrap_or_default();
        let running = pods
            .list(&ListParams::default().labels("app.kubernetes.io/component=operator"))
            .await?
            .items
            .len();
        Ok((status.ready_replicas.unwrap_or(0) == replicas
            && running == usize::try_from(replicas)?)
        .then_some(()))
    })
    .await?;
    Ok(())
}

#[tokio::test]
async fn s05_invariant_3_an_operator_outage_changes_nothing_for_guarded_traffic() -> Result<()> {
    let fixture = Fixture::new("s05").await?;
    let first = fixture
        .guarded_chat(
            &json!([{ "vector": "evil", "threshold": { "sigma": 3 }, "action": "Block" }]),
        )
        .await?;
    fixture.chat(&first)?.ask(None, prompts::QUESTIONS[0]).await?;
    fixture
        .report("chat", "one response", |r| {
            r.status.as_ref().is_some_and(|s| s.totals.responses == 1)
        })
        .await?;

    scale_operator(&fixture, 0).await?;
    let outcome = during_the_outage(&fixture, &first).await;
    scale_operator(&fixture, 1).await?;
    outcome?;

    let (report, took) = fixture
        .report("chat", "every response of the outage", |r| {
            r.status.as_ref().is_some_and(|s| s.totals.responses >= 6)
        })
        .await?;
    println!("complete {took:?} after the operator was back");
    let totals = report.status.as_ref().unwrap().totals;
    assert_eq!((totals.responses, totals.breaches, totals.blocked), (6, 2, 2), "exact: {report:?}");
    assert_eq!(report.status.as_ref().unwrap().pods.len(), 2);
    // More pushes of the same counts must not add up.
    tokio::time::sleep(std::time::Duration::from_secs(12)).await;
    let (again, _) = fixture.report("chat", "still", |_| true).await?;
    assert_eq!(again.status.unwrap().totals, totals, "nothing doubled");
    fixture.policy_condition("Ready", "True").await?;
    fixture.finish().await
}

/// Five responses by two pods. Two of them breach and are blocked.
async fn during_the_outage(fixture: &Fixture, first: &Pod) -> Result<()> {
    let first_chat = fixture.chat(first)?;
    first_chat.ask(None, prompts::QUESTIONS[1]).await?;
    assert_blocked(&first_chat.ask(Some(prompts::EVIL), prompts::QUESTIONS[0]).await?);

    let deployments: Api<Deployment> = fixture.api();
    let patch = json!({ "spec": { "replicas": 2 } });
    deployments.patch_scale("chat", &PatchParams::default(), &Patch::Merge(&patch)).await?;
    let pods: Api<Pod> = fixture.api();
    let (second, _) =
        wait::until("a second pod, injected without the operator", PATIENCE, || async {
            let pods = pods.list(&ListParams::default().labels("app=chat")).await?;
            Ok(pods.items.into_iter().find(|pod| {
                pod.metadata.uid != first.metadata.uid && personaguard_e2e::fixture::is_ready(pod)
            }))
        })
        .await?;
    let second_chat = fixture.chat(&second)?;
    second_chat.ask(None, prompts::QUESTIONS[0]).await?;
    second_chat.ask(None, prompts::QUESTIONS[2]).await?;
    assert_blocked(&second_chat.ask(Some(prompts::EVIL), prompts::QUESTIONS[0]).await?);
    Ok(())
}

fn assert_blocked(answer: &serde_json::Value) {
    assert_eq!(answer["choices"][0]["finish_reason"], "content_filter", "{answer}");
}
