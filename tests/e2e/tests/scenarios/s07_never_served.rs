//! 7. A vector of another model, a missing layer and a corrupt weight file are never served, and
//!    the condition says why.

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::api::{Api, DeleteParams, ListParams};
use personaguard_api::{Digest, PersonaModel, PersonaVector};
use personaguard_cluster::{Cache, Cluster};
use personaguard_e2e::fixture::{self, MODEL, PATIENCE, SYSTEM, vector_manifest};
use personaguard_e2e::{Fixture, environment, objects, wait};
use serde_json::json;

async fn rejected_vector(fixture: &Fixture, name: &str) -> Result<Condition> {
    let vectors: Api<PersonaVector> = Api::all(fixture.client.clone());
    let (condition, _) =
        wait::until(&format!("vector {name} to be rejected"), PATIENCE, || async {
            let status = vectors.get(name).await?.status.unwrap_or_default();
            Ok(status.conditions.into_iter().find(|c| c.type_ == "Ready" && c.status == "False"))
        })
        .await?;
    Ok(condition)
}

#[tokio::test]
async fn s07_invariant_7_a_vector_that_does_not_fit_is_never_served() -> Result<()> {
    let fixture = Fixture::new("s07").await?;
    let good =
        std::fs::read(environment::path("PERSONAGUARD_TEST_VECTORS")?.join("evil.safetensors"))?;
    let model = Digest::of(&std::fs::read(environment::path("PERSONAGUARD_TEST_MODEL")?)?);

    // Of another model: the same file, with another digest in its header.
    let foreign = replace(&good, model.as_str().as_bytes(), "0".repeat(64).as_bytes())
        .context("the file has no model digest")?;
    let sha256 = fixture.upload_vector("s07-foreign", foreign).await?;
    fixture.apply(&vector_manifest("s07-foreign", "evil", "s07-foreign", &sha256)).await?;

    // Layer 99 of a model with 30 layers.
    let sha256 = fixture.upload_vector("s07-layer", good.clone()).await?;
    let mut layer = vector_manifest("s07-layer", "evil", "s07-layer", &sha256);
    layer["spec"]["layer"] = json!(99);
    fixture.apply(&layer).await?;

    // A file with another digest than the one given, half a file, and no file.
    fixture
        .apply(&vector_manifest("s07-digest", "evil", "s07-layer", &Digest::of(b"another file")))
        .await?;
    let sha256 = fixture.upload_vector("s07-half", good[..good.len() / 2].to_vec()).await?;
    fixture.apply(&vector_manifest("s07-half", "evil", "s07-half", &sha256)).await?;
    fixture
        .apply(&vector_manifest("s07-absent", "evil", "s07-no-such-map", &Digest::of(b"")))
        .await?;

    for (name, reason, mentioned) in [
        ("s07-foreign", "ModelMismatch", MODEL),
        ("s07-layer", "LayerMissing", "99"),
        ("s07-digest", "DigestMismatch", "sha256"),
        ("s07-half", "ArtifactInvalid", ""),
        ("s07-absent", "ArtifactNotFound", "s07-no-such-map"),
    ] {
        let condition = rejected_vector(&fixture, name).await?;
        println!("{name}: {}: {}", condition.reason, condition.message);
        assert_eq!(condition.reason, reason, "{name}: {}", condition.message);
        assert!(condition.message.contains(mentioned), "{name}: {}", condition.message);
    }

    // A policy that uses one is rejected, with its name in the message.
    fixture
        .apply_policy(
            "chat",
            &json!([{
                "vector": "s07-foreign", "threshold": { "projection": 1.0 }, "action": "Block"
            }]),
        )
        .await?;
    let (policy, _) = fixture.policy_condition("Accepted", "False").await?;
    let accepted = fixture::condition(&policy, "Accepted").unwrap();
    println!("policy: {}: {}", accepted.reason, accepted.message);
    assert!(
        ["VectorNotReady", "ModelMismatch"].contains(&accepted.reason.as_str()),
        "{accepted:?}"
    );
    assert!(accepted.message.contains("s07-foreign"), "{accepted:?}");

    let vectors: Api<PersonaVector> = Api::all(fixture.client.clone());
    let maps: Api<k8s_openapi::api::core::v1::ConfigMap> =
        Api::namespaced(fixture.client.clone(), SYSTEM);
    for name in ["s07-foreign", "s07-layer", "s07-digest", "s07-half", "s07-absent"] {
        vectors.delete(name, &DeleteParams::default()).await?;
        maps.delete(name, &DeleteParams::default()).await.ok();
    }
    fixture.finish().await
}

#[tokio::test]
async fn s07_a_corrupt_weight_file_is_never_served() -> Result<()> {
    let fixture = Fixture::new("s07w").await?;
    let whole = std::fs::read(environment::path("PERSONAGUARD_TEST_MODEL")?)?;
    let truncated = whole[..1 << 20].to_vec();
    let digest = Digest::of(&truncated);
    let cluster = environment::variable("PERSONAGUARD_TEST_CLUSTER")?;
    Cluster::open(&Cache::open()?, &cluster)?
        .import_files("localhost/smollm2-broken:1", &[("model.gguf", truncated.as_slice())])?;
    // A corrupt file with the right digest, and a good file with another digest than the one given.
    for (name, image, sha256, reason) in [
        ("s07-corrupt", "localhost/smollm2-broken:1", digest, "WeightsInvalid"),
        ("s07-other", "localhost/smollm2-135m:1", Digest::of(b"another file"), "DigestMismatch"),
    ] {
        fixture
            .apply(&json!({
                "apiVersion": personaguard_api::API_VERSION,
                "kind": "PersonaModel",
                "metadata": { "name": name },
                "spec": {
                    "source": { "image": { "reference": image, "path": "model.gguf" } },
                    "sha256": sha256
                }
            }))
            .await?;
        // A vector of that model, so that the policy is accepted and a pod tries to load the
        // weights.
        let good = std::fs::read(
            environment::path("PERSONAGUARD_TEST_VECTORS")?.join("evil.safetensors"),
        )?;
        let bytes =
            replace(&good, Digest::of(&whole).as_str().as_bytes(), sha256.as_str().as_bytes())
                .unwrap();
        let file = fixture.upload_vector(name, bytes).await?;
        let mut vector = vector_manifest(name, "evil", name, &file);
        vector["spec"]["model"] = json!(name);
        fixture.apply(&vector).await?;
        let mut policy = objects::policy(
            &fixture.namespace,
            &json!({ "app": name }),
            &json!([{ "vector": name, "threshold": { "projection": 1.0 }, "action": "Block" }]),
        );
        policy["metadata"]["name"] = json!(name);
        policy["spec"]["model"] = json!(name);
        fixture.apply(&policy).await?;
        let policies: Api<personaguard_api::PersonaPolicy> = fixture.api();
        wait::until("the policy to be accepted", PATIENCE, || async {
            let policy = policies.get(name).await?;
            Ok(fixture::condition(&policy, "Accepted")
                .is_some_and(|c| c.status == "True")
                .then_some(()))
        })
        .await?;
        fixture
            .apply(&objects::chat_app(&fixture.namespace, name, &json!({ "app": name }), ""))
            .await?;

        let models: Api<PersonaModel> = Api::all(fixture.client.clone());
        let (condition, _) = wait::until("the model to be rejected", PATIENCE, || async {
            let status = models.get(name).await?.status.unwrap_or_default();
            Ok(status.conditions.into_iter().find(|c| c.type_ == "Ready" && c.status == "False"))
        })
        .await?;
        println!("{name}: {}: {}", condition.reason, condition.message);
        assert_eq!(condition.reason, reason, "{}", condition.message);
        let policy = policies.get(name).await?;
        assert_eq!(fixture::condition(&policy, "Ready").map(|c| c.status.as_str()), Some("False"));
        let pods: Api<Pod> = fixture.api();
        for pod in pods.list(&ListParams::default().labels(&format!("app={name}"))).await? {
            assert!(!fixture::is_ready(&pod), "the app started although its sidecar has no model");
        }
        // Before the namespace goes, so that no policy refers to an object that is missing.
        policies.delete(name, &DeleteParams::default()).await?;
        Api::<PersonaVector>::all(fixture.client.clone())
            .delete(name, &DeleteParams::default())
            .await?;
        models.delete(name, &DeleteParams::default()).await?;
    }
    fixture.finish().await
}

/// Replaces the first `from` in `bytes` by `to`, which has the same length.
fn replace(bytes: &[u8], from: &[u8], to: &[u8]) -> Option<Vec<u8>> {
    assert_eq!(from.len(), to.len());
    let at = bytes.windows(from.len()).position(|window| window == from)?;
    let mut replaced = bytes.to_vec();
    replaced[at..at + to.len()].copy_from_slice(to);
    Some(replaced)
}
