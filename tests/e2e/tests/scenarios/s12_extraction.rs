//! 12. A PersonaVector without a file is extracted by a Job. Its status shows the progress and the
//!     validation, and a policy uses it by name. One that is no better than chance is not used
//!     unless that is allowed.

use anyhow::{Context, Result};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolume, PersistentVolumeClaim};
use kube::api::{Api, DeleteParams};
use personaguard_api::{Digest, PersonaVector, names};
use personaguard_e2e::fixture::{self, MODEL, SYSTEM, vector_manifest};
use personaguard_e2e::{Fixture, environment, wait};
use personaguard_persona::VectorFile;
use serde_json::{Value, json};
use std::time::Duration;

/// A Job generates some hundred answers on a busy machine.
const EXTRACTION: Duration = Duration::from_secs(600);

async fn ready(
    fixture: &Fixture,
    name: &str,
    patience: Duration,
    reasons: &[&str],
) -> Result<PersonaVector> {
    let vectors: Api<PersonaVector> = Api::all(fixture.client.clone());
    let (vector, took) =
        wait::until(&format!("vector {name} to be {reasons:?}"), patience, || async {
            let vector = vectors.get(name).await?;
            let status = vector.status.clone().unwrap_or_default();
            let current = status.observed_generation == vector.metadata.generation;
            let there = status
                .conditions
                .iter()
                .any(|c| c.type_ == "Ready" && reasons.contains(&c.reason.as_str()));
            Ok((current && there).then_some(vector))
        })
        .await?;
    let condition = &vector.status.as_ref().context("no status")?.conditions[0];
    println!(
        "{name} after {took:?}: {} {}: {}",
        condition.status, condition.reason, condition.message
    );
    Ok(vector)
}

async fn apply_policy_with(fixture: &Fixture, vector: &str) -> Result<()> {
    let rule =
        json!([{ "vector": vector, "threshold": { "projection": 1000.0 }, "action": "Alert" }]);
    fixture.apply_policy("chat", &rule).await
}

#[tokio::test]
async fn s12_a_vector_is_extracted_in_the_cluster() -> Result<()> {
    let fixture = Fixture::new("s12").await?;
    let name = "s12-apathetic";
    let mut manifest: Value = json!({
        "apiVersion": personaguard_api::API_VERSION,
        "kind": "PersonaVector",
        "metadata": { "name": name },
        "spec": {
            "trait": "apathetic", "model": MODEL,
            "extraction": { "tokens": 12, "questions": 4, "rollouts": 1, "seed": 1 }
        }
    });
    fixture.apply(&manifest).await?;
    let vectors: Api<PersonaVector> = Api::all(fixture.client.clone());
    let (progress, _) = wait::until("the progress of the extraction", EXTRACTION, || async {
        Ok(vectors.get(name).await?.status.and_then(|status| status.progress))
    })
    .await?;
    println!("progress: {progress}");
    assert!(
        progress
            .split_once('/')
            .is_some_and(|(done, total)| done.parse::<u32>().is_ok() && total != "0")
    );

    // With so few short answers, the vector may or may not be usable.
    let vector =
        ready(&fixture, name, EXTRACTION, &["Extracted", "NotDiscriminative", "DoesNotSteer"])
            .await?;
    let status = vector.status.clone().unwrap_or_default();
    assert!(
        status.digest.is_some() && status.model_digest.is_some() && status.auroc.is_some(),
        "{status:?}"
    );
    assert!(
        status.layer.is_some_and(|layer| layer.0 > 0) && status.calibration.is_some(),
        "{status:?}"
    );
    assert!(status.progress.is_none(), "{status:?}");
    assert_eq!(status.steering.len(), 5, "{status:?}");
    let monotonic = status.steering.windows(2).all(|step| {
        step[1].response_avg > step[0].response_avg
            && step[1].likelihood_ratio > step[0].likelihood_ratio
    });
    let steers = status
        .conditions
        .iter()
        .find(|condition| condition.type_ == "Steers")
        .context("no condition")?;
    assert_eq!(steers.status, if monotonic { "True" } else { "False" }, "{steers:?}");

    // A policy uses it by name.
    manifest["spec"]["allowNotDiscriminative"] = json!(true);
    manifest["spec"]["allowNotSteering"] = json!(true);
    fixture.apply(&manifest).await?;
    let again = ready(&fixture, name, fixture::PATIENCE, &["Extracted"]).await?;
    assert_eq!(again.status.unwrap_or_default().digest, status.digest, "it was extracted again");
    apply_policy_with(&fixture, name).await?;
    fixture.policy_condition("Accepted", "True").await?;

    extract_with_two_shards(&fixture, &manifest, status.digest.context("no digest")?).await?;

    // What the extraction made goes with the vector.
    vectors.delete(name, &DeleteParams::default()).await?;
    let maps: Api<ConfigMap> = Api::namespaced(fixture.client.clone(), SYSTEM);
    let jobs: Api<Job> = Api::namespaced(fixture.client.clone(), SYSTEM);
    let made = names::for_extraction(name);
    wait::until("the Job and the file to be garbage-collected", fixture::PATIENCE, || async {
        let left = maps.get_opt(&made).await?.is_some() || jobs.get_opt(&made).await?.is_some();
        Ok((!left).then_some(()))
    })
    .await?;
    fixture.finish().await
}

/// Two pods generate the answers and a third makes the vector. It is the same, to the byte.
async fn extract_with_two_shards(fixture: &Fixture, single: &Value, digest: Digest) -> Result<()> {
    let name = "s12-shared";
    let folder = tempfile::tempdir()?;
    fixture.claim(SYSTEM, name, name, folder.path()).await?;
    let mut manifest = single.clone();
    manifest["metadata"]["name"] = json!(name);
    manifest["spec"]["extraction"]["shards"] = json!(2);
    manifest["spec"]["extraction"]["workspace"] = json!({ "claimName": name });
    fixture.apply(&manifest).await?;
    let vector = ready(fixture, name, EXTRACTION, &["Extracted"]).await?;
    assert_eq!(vector.status.and_then(|status| status.digest), Some(digest));
    let left: Vec<_> = std::fs::read_dir(folder.path())?
        .filter_map(|entry| Some(entry.ok()?.file_name()))
        .collect();
    assert!(
        !left.iter().any(|file| file.to_string_lossy().contains(".part")),
        "parts are left over: {left:?}"
    );
    Api::<PersonaVector>::all(fixture.client.clone())
        .delete(name, &DeleteParams::default())
        .await?;
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(fixture.client.clone(), SYSTEM);
    claims.delete(name, &DeleteParams::default()).await?;
    Api::<PersistentVolume>::all(fixture.client.clone())
        .delete(name, &DeleteParams::default())
        .await?;
    Ok(())
}

#[tokio::test]
async fn s12_a_vector_no_better_than_chance_is_used_only_where_that_is_allowed() -> Result<()> {
    let fixture = Fixture::new("s12n").await?;
    let file =
        std::fs::read(environment::path("PERSONAGUARD_TEST_VECTORS")?.join("evil.safetensors"))?;
    let file = VectorFile::parse(&file)?;
    let mut metadata = file.metadata().clone();
    for layer in &mut metadata.validation {
        layer.auroc = 0.5;
        layer.interval.low = 0.4;
        layer.interval.high = 0.6;
    }
    let name = "s12-chance";
    let sha256 = fixture.upload_vector(name, file.with_metadata(metadata)?.to_bytes()?).await?;
    let mut manifest = vector_manifest(name, "evil", name, &sha256);
    manifest["spec"]["allowNotDiscriminative"] = json!(false);
    fixture.apply(&manifest).await?;
    ready(&fixture, name, fixture::PATIENCE, &["NotDiscriminative"]).await?;
    apply_policy_with(&fixture, name).await?;
    let (policy, _) = fixture.policy_condition("Accepted", "False").await?;
    let accepted = fixture::condition(&policy, "Accepted").context("no condition")?;
    assert_eq!(accepted.reason, "NotDiscriminative", "{}", accepted.message);

    manifest["spec"]["allowNotDiscriminative"] = json!(true);
    fixture.apply(&manifest).await?;
    ready(&fixture, name, fixture::PATIENCE, &["Imported"]).await?;
    fixture.policy_condition("Accepted", "True").await?;
    Api::<PersonaVector>::all(fixture.client.clone())
        .delete(name, &DeleteParams::default())
        .await?;
    let maps: Api<ConfigMap> = Api::namespaced(fixture.client.clone(), SYSTEM);
    maps.delete(name, &DeleteParams::default()).await?;
    fixture.finish().await
}
