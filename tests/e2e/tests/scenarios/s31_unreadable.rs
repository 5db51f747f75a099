//! 31. An object that this operator cannot read (kinds of a newer version, an operator that was
//!     rolled back) leaves everything of its scope as it is, also after a restart, and says so.

use anyhow::{Context as _, Result};
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, DynamicObject, ListParams};
use personaguard_api::{PersonaInjection, names};
use personaguard_e2e::fixture::{MODEL, PATIENCE, SYSTEM};
use personaguard_e2e::{Fixture, prompts, wait};
use serde_json::{Value, json};
use std::process::Command;

const FIELD: &str = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/future";

/// Adds a field of a newer version to the kind, or removes it.
fn newer_kind(newer: bool) -> Result<()> {
    let patch = if newer {
        json!([{ "op": "add", "path": FIELD, "value": { "type": "boolean" } }])
    } else {
        json!([{ "op": "remove", "path": FIELD }])
    };
    let patch = patch.to_string();
    let crd = "crd/personapolicies.personaguard.dev";
    let output =
        Command::new("kubectl").args(["patch", crd, "--type=json", "--patch", &patch]).output()?;
    anyhow::ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// What an operator that starts anew must find as it was.
async fn in_force(fixture: &Fixture) -> Result<(ConfigMap, PersonaInjection)> {
    let name = names::for_model(MODEL);
    let (maps, injections): (Api<ConfigMap>, Api<PersonaInjection>) =
        (fixture.api(), fixture.api());
    Ok((maps.get(&name).await?, injections.get(&name).await?))
}

async fn restart_operator(fixture: &Fixture) -> Result<()> {
    let pods: Api<Pod> = Api::namespaced(fixture.client.clone(), SYSTEM);
    let operators = ListParams::default().labels("app.kubernetes.io/component=operator");
    let before: Vec<_> =
        pods.list(&operators).await?.items.iter().filter_map(ResourceExt::uid).collect();
    pods.delete_collection(&DeleteParams::default(), &operators).await?;
    wait::until("another operator that leads", PATIENCE, || async {
        let leads = format!("app.kubernetes.io/component=operator,{}=true", names::LEADER_LABEL);
        let leaders = operators.clone().labels(&leads);
        let now = pods.list(&leaders).await?.items;
        Ok(now.iter().any(|pod| pod.uid().is_some_and(|uid| !before.contains(&uid))).then_some(()))
    })
    .await?;
    Ok(())
}

/// The conditions of the policy, whatever version it is of.
async fn conditions(fixture: &Fixture) -> Result<Vec<Value>> {
    let resource = kube::api::ApiResource::erase::<personaguard_api::PersonaPolicy>(&());
    let api: Api<DynamicObject> =
        Api::namespaced_with(fixture.client.clone(), &fixture.namespace, &resource);
    let policy = api.get("no-villains").await?;
    Ok(policy.data["status"]["conditions"].as_array().cloned().unwrap_or_default())
}

#[tokio::test]
async fn s31_item_11_a_policy_that_cannot_be_read_stays_in_force_and_says_so() -> Result<()> {
    let fixture = Fixture::new("s31").await?;
    newer_kind(true)?;
    let outcome = unreadable(&fixture).await;
    newer_kind(false)?;
    outcome?;
    fixture.finish().await
}

async fn unreadable(fixture: &Fixture) -> Result<()> {
    let traits = json!([{ "vector": "evil", "threshold": { "sigma": 3 }, "action": "Block" }]);
    let pod = fixture.guarded_chat(&traits).await?;
    let chat = fixture.chat(&pod)?;
    let before = in_force(fixture).await?;

    let mut newer =
        personaguard_e2e::objects::policy(&fixture.namespace, &json!({ "app": "chat" }), &traits);
    newer["spec"]["future"] = json!(true);
    fixture.apply(&newer).await?;
    for restarted in [false, true] {
        if restarted {
            restart_operator(fixture).await?;
        }
        wait::until("the policy to say that it cannot be read", PATIENCE, || async {
            let conditions = conditions(fixture).await?;
            let says = |type_: &str| {
                let mut found = conditions.iter().filter(|it| it["type"] == type_);
                found.any(|it| it["status"] == "False" && it["reason"] == "Unreadable")
            };
            Ok((says("Ready") && says("Accepted")).then_some(()))
        })
        .await?;
        // Time enough to do the wrong thing.
        tokio::time::sleep(std::time::Duration::from_secs(5)).await;
        let now = in_force(fixture).await?;
        assert_eq!(now.0.data, before.0.data, "restarted: {restarted}");
        assert_eq!(now.0.binary_data, before.0.binary_data);
        assert_eq!(now.1.spec, before.1.spec);
        let blocked = chat.ask(Some(prompts::EVIL), prompts::QUESTIONS[0]).await?;
        assert_eq!(blocked["choices"][0]["finish_reason"], "content_filter", "{blocked}");
    }
    let events = fixture.events("PersonaPolicy", "no-villains").await?;
    assert!(events.iter().any(|it| it.reason.as_deref() == Some("Unreadable")), "{events:?}");
    let leader: Api<Pod> = Api::namespaced(fixture.client.clone(), SYSTEM);
    let leader = leader
        .list(&ListParams::default().labels(&format!("{}=true", names::LEADER_LABEL)))
        .await?
        .items
        .pop()
        .context("no leader")?;
    let url = format!("http://{}:8080/metrics", personaguard_e2e::fixture::address(&leader)?);
    let metrics = reqwest::get(url).await?.text().await?;
    let line = "personaguard_operator_unreadable_objects{kind=\"PersonaPolicy\"} 1";
    assert!(metrics.contains(line), "{metrics}");

    // Once it can be read, all goes on.
    fixture.apply_policy("chat", &traits).await?;
    let (policy, _) = fixture.policy_condition("Ready", "True").await?;
    assert!(policy.metadata.finalizers.is_some());
    Ok(())
}
