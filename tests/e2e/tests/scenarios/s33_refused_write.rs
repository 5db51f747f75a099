//! 33. The API server refuses a write (a quota): the policy says what was refused, an Event too,
//!     and its deletion goes on. Once the quota is gone, all is well.

use anyhow::Result;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::api::{Api, DeleteParams};
use personaguard_api::PersonaPolicy;
use personaguard_e2e::fixture::{PATIENCE, condition};
use personaguard_e2e::{Fixture, prompts, wait};
use serde_json::json;

#[tokio::test]
async fn s33_item_15_a_refused_write_is_told_and_freezes_nothing() -> Result<()> {
    let fixture = Fixture::new("s33").await?;
    let quota = json!({
        "apiVersion": "v1", "kind": "ResourceQuota",
        "metadata": { "namespace": fixture.namespace, "name": "no-configs" },
        // The cluster's own authorities take one.
        "spec": { "hard": { "count/configmaps": "1" } }
    });
    fixture.apply(&quota).await?;
    let quotas: Api<k8s_openapi::api::core::v1::ResourceQuota> = fixture.api();
    wait::until("the quota to count", PATIENCE, || async {
        let status = quotas.get("no-configs").await?.status.unwrap_or_default();
        Ok(status.used.is_some_and(|used| !used.is_empty()).then_some(()))
    })
    .await?;
    let traits = json!([{ "vector": "evil", "threshold": { "sigma": 3 }, "action": "Block" }]);
    fixture.apply_policy("chat", &traits).await?;
    let (policy, _) = fixture.policy_condition("Ready", "False").await?;
    let ready = condition(&policy, "Ready").unwrap();
    assert_eq!(ready.reason, "WriteRefused", "{ready:?}");
    assert!(ready.message.contains("no-configs"), "{}", ready.message);
    assert_eq!(condition(&policy, "Accepted").unwrap().status, "True");
    wait::until("an Event that says so", PATIENCE, || async {
        let events = fixture.events("PersonaPolicy", "no-villains").await?;
        let told = events.iter().any(|it| it.reason.as_deref() == Some("WriteRefused"));
        Ok(told.then_some(()))
    })
    .await?;

    // Its deletion goes on.
    let policies: Api<PersonaPolicy> = fixture.api();
    policies.delete("no-villains", &DeleteParams::default()).await?;
    wait::until("the policy to be gone", PATIENCE, || async {
        Ok(policies.get_opt("no-villains").await?.is_none().then_some(()))
    })
    .await?;

    // Without the quota it works by itself.
    fixture.apply_policy("chat", &traits).await?;
    fixture.policy_condition("Ready", "False").await?;
    quotas.delete("no-configs", &DeleteParams::default()).await?;
    wait::until("the write to be tried again", PATIENCE, || async {
        let policy = policies.get("no-villains").await?;
        let refused = |it: &Condition| it.reason == "WriteRefused";
        Ok((!condition(&policy, "Ready").is_some_and(refused)).then_some(()))
    })
    .await?;
    // A pod that was created before would have no sidecar.
    fixture.deploy_chat("chat", prompts::PLAIN).await?;
    fixture.policy_condition("Ready", "True").await?;
    fixture.finish().await
}
