//! 32. Edits that cannot be enforced leave running pods guarded: a policy that names a model that
//!     does not exist, and a model whose digest is typed wrong. Pods created after get the new
//!     identity.

use anyhow::Result;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use personaguard_api::{Digest, PersonaModel, PersonaPolicy, PersonaVector};
use personaguard_e2e::fixture::{self, PATIENCE, condition};
use personaguard_e2e::{Fixture, environment, objects, prompts, wait};
use serde_json::{Value, json};
use std::time::Duration;

/// A model and a vector of this scenario's own, so that no other is disturbed.
const OWN: &str = "s32-own";

async fn apply_own_model(fixture: &Fixture) -> Result<()> {
    let mut model = fixture::model_manifest()?;
    model["metadata"]["name"] = json!(OWN);
    fixture.apply(&model).await?;
    let file = environment::path("PERSONAGUARD_TEST_VECTORS")?.join("evil.safetensors");
    let sha256 = fixture.upload_vector("vector-s32", std::fs::read(file)?).await?;
    let mut vector = fixture::vector_manifest(OWN, "evil", "vector-s32", &sha256);
    vector["spec"]["model"] = json!(OWN);
    vector["spec"]["layer"] = json!(prompts::EVIL_LAYER);
    fixture.apply(&vector).await?;
    Ok(())
}

fn policy(fixture: &Fixture, model: &str) -> Value {
    let traits = json!([{ "vector": OWN, "threshold": { "sigma": 3 }, "action": "Block" }]);
    let mut policy = objects::policy(&fixture.namespace, &json!({ "app": "chat" }), &traits);
    policy["spec"]["model"] = json!(model);
    policy
}

async fn assert_guarded(fixture: &Fixture, pod: &Pod) -> Result<()> {
    let now = fixture.ready_pod("chat").await?;
    assert_eq!(now.uid(), pod.uid(), "the same pod is ready");
    let mut question = personaguard_e2e::chat::request(Some(prompts::EVIL), prompts::QUESTIONS[0]);
    question["model"] = json!(OWN);
    let answer: Value = fixture.chat(pod)?.send(&question).await?.json().await?;
    assert_eq!(answer["choices"][0]["finish_reason"], "content_filter", "{answer}");
    Ok(())
}

#[tokio::test]
async fn s32_item_12_and_13_edits_do_not_switch_off_what_is_in_force() -> Result<()> {
    let fixture = Fixture::new("s32").await?;
    apply_own_model(&fixture).await?;
    fixture.apply(&policy(&fixture, OWN)).await?;
    fixture.policy_condition("Accepted", "True").await?;
    let pod = fixture.deploy_chat("chat", prompts::PLAIN).await?;
    fixture.policy_condition("Ready", "True").await?;
    assert_guarded(&fixture, &pod).await?;

    // A model that does not exist.
    fixture.apply(&policy(&fixture, "no-such-model")).await?;
    let (edited, _) = fixture.policy_condition("Accepted", "False").await?;
    let accepted = condition(&edited, "Accepted").unwrap();
    assert_eq!(accepted.reason, "ModelNotFound");
    assert!(accepted.message.contains("stays in force meanwhile"), "{}", accepted.message);
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_guarded(&fixture, &pod).await?;
    fixture.apply(&policy(&fixture, OWN)).await?;
    fixture.policy_condition("Ready", "True").await?;

    // A digest that is typed wrong: the pod that runs keeps what it has loaded.
    let models: Api<PersonaModel> = Api::all(fixture.client.clone());
    let right = models.get(OWN).await?.spec.sha256;
    let digest = |digest: &Digest| Patch::Merge(json!({ "spec": { "sha256": digest } }));
    models.patch(OWN, &PatchParams::default(), &digest(&Digest::of(b"typed wrong"))).await?;
    fixture.policy_condition("Accepted", "False").await?;
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_guarded(&fixture, &pod).await?;
    let policies: Api<PersonaPolicy> = fixture.api();
    let loaded = policies.get("no-villains").await?.status.unwrap_or_default().loaded;
    assert_eq!((loaded.len(), loaded[0].pods), (1, 1), "{loaded:?}");
    assert_eq!(loaded[0].sha256, right);
    // It is put right.
    models.patch(OWN, &PatchParams::default(), &digest(&right)).await?;
    fixture.policy_condition("Ready", "True").await?;
    assert_guarded(&fixture, &pod).await?;

    // Another context is for pods created after: this one is not touched, the next one has it.
    let context = Patch::Merge(json!({ "spec": { "runtime": { "contextLength": 1024 } } }));
    models.patch(OWN, &PatchParams::default(), &context).await?;
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_guarded(&fixture, &pod).await?;
    fixture.policy_condition("Ready", "True").await?;
    let pods: Api<Pod> = fixture.api();
    pods.delete(&pod.name_any(), &DeleteParams::default()).await?;
    let (next, _) = wait::until("the next pod", PATIENCE, || async {
        Ok(Some(fixture.ready_pod("chat").await?).filter(|next| next.uid() != pod.uid()))
    })
    .await?;
    fixture.policy_condition("Ready", "True").await?;
    assert_guarded(&fixture, &next).await?;

    let vectors: Api<PersonaVector> = Api::all(fixture.client.clone());
    vectors.delete(OWN, &DeleteParams::default()).await?;
    let client = fixture.client.clone();
    fixture.finish().await?;
    Api::<PersonaModel>::all(client).delete(OWN, &DeleteParams::default()).await?;
    Ok(())
}
