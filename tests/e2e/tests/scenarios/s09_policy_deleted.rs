//! 9. The policy is deleted: the finalizer runs, traffic continues, reports follow, and nothing is
//!    orphaned.

use anyhow::Result;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, DeleteParams};
use personaguard_api::{PersonaInjection, PersonaPolicy, PersonaReport, names};
use personaguard_e2e::fixture::{MODEL, PATIENCE};
use personaguard_e2e::{Fixture, prompts, wait};
use serde_json::json;

#[tokio::test]
async fn s09_a_deleted_policy_leaves_traffic_running_and_nothing_behind() -> Result<()> {
    let fixture = Fixture::new("s09").await?;
    let pod = fixture
        .guarded_chat(
            &json!([{ "vector": "evil", "threshold": { "sigma": 3 }, "action": "Block" }]),
        )
        .await?;
    let chat = fixture.chat(&pod)?;
    let blocked = chat.ask(Some(prompts::EVIL), prompts::QUESTIONS[0]).await?;
    assert_eq!(blocked["choices"][0]["finish_reason"], "content_filter", "{blocked}");
    fixture
        .report("chat", "the breach", |r| r.status.as_ref().is_some_and(|s| s.totals.breaches == 1))
        .await?;

    let policies: Api<PersonaPolicy> = fixture.api();
    let policy = policies.get("no-villains").await?;
    assert_eq!(policy.metadata.finalizers.as_deref(), Some(&[names::FINALIZER.to_owned()][..]));
    policies.delete("no-villains", &DeleteParams::default()).await?;
    let ((), took) = wait::until("the policy to be gone", PATIENCE, || async {
        Ok(policies.get_opt("no-villains").await?.is_none().then_some(()))
    })
    .await?;
    println!("gone {took:?} after the deletion");

    // The same conversation now passes the same pod, and is still counted.
    let (_, took) = wait::until("the sidecar to stop enforcing it", PATIENCE, || async {
        let answer = chat.ask(Some(prompts::EVIL), prompts::QUESTIONS[0]).await?;
        Ok((answer["choices"][0]["finish_reason"] != "content_filter").then_some(()))
    })
    .await?;
    println!("traffic unguarded {took:?} after the policy was gone");
    fixture
        .report("chat", "no active breach", |report| {
            let conditions =
                report.status.as_ref().map(|s| s.conditions.as_slice()).unwrap_or_default();
            conditions.iter().any(|c| c.type_ == "TraitBreached" && c.status == "False")
        })
        .await?;

    // No new pod is injected. The config stays for as long as a pod mounts it.
    let injections: Api<PersonaInjection> = fixture.api();
    let name = names::for_model(MODEL);
    wait::until("the injection to be gone", PATIENCE, || async {
        Ok(injections.get_opt(&name).await?.is_none().then_some(()))
    })
    .await?;
    let maps: Api<ConfigMap> = fixture.api();
    assert!(maps.get_opt(&name).await?.is_some(), "the config of a running pod was deleted");

    // The config and the report go with the workload.
    Api::<Deployment>::namespaced(fixture.client.clone(), &fixture.namespace)
        .delete("chat", &DeleteParams::default())
        .await?;
    wait::until("the config to be gone", PATIENCE, || async {
        Ok(maps.get_opt(&name).await?.is_none().then_some(()))
    })
    .await?;
    let reports: Api<PersonaReport> = fixture.api();
    wait::until("the report to be gone", PATIENCE, || async {
        Ok(reports.list(&kube::api::ListParams::default()).await?.items.is_empty().then_some(()))
    })
    .await?;
    fixture.finish().await
}
