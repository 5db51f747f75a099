//! 25. A PersonaVector of a model that vLLM runs is extracted by a Job that runs the user's own
//!     vLLM, once the PersonaModel says how; until then, and while that vLLM cannot be started, the
//!     vector says what to do. The file says how the weights were served.

use anyhow::{Context, Result};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolume, PersistentVolumeClaim, Pod};
use kube::ResourceExt as _;
use kube::api::{Api, DeleteParams, ListParams};
use personaguard_api::{Digest, PersonaModel, PersonaVector, names};
use personaguard_e2e::fixture::{PATIENCE, SYSTEM};
use personaguard_e2e::vllm::{self, Vllm};
use personaguard_e2e::{Fixture, wait};
use personaguard_persona::VectorFile;
use serde_json::{Value, json};
use std::time::Duration;

const MODEL: &str = "s25-vllm";
const VECTOR: &str = "s25-apathetic";
/// Until vLLM has started and answered some hundred requests, on a busy machine.
const EXTRACTION: Duration = Duration::from_secs(900);

fn model(digest: &Digest, server: Option<&Value>) -> Value {
    let mut model = json!({
        "apiVersion": personaguard_api::API_VERSION, "kind": "PersonaModel",
        "metadata": { "name": MODEL }, "spec": { "engine": "Vllm", "sha256": digest }
    });
    if let Some(server) = server {
        model["spec"]["vllm"] = server.clone();
    }
    model
}

/// Waits until the vector is for one of these reasons as it is, and says so in these words.
async fn condition(
    fixture: &Fixture,
    patience: Duration,
    reasons: &[&str],
    says: &str,
) -> Result<PersonaVector> {
    let vectors: Api<PersonaVector> = Api::all(fixture.client.clone());
    let what = format!("vector {VECTOR} to be {reasons:?} {says:?}");
    let found = wait::until(&what, patience, || async {
        let vector = vectors.get(VECTOR).await?;
        let conditions = vector.status.iter().flat_map(|status| &status.conditions);
        let mut ready = conditions.filter(|it| it.type_ == "Ready");
        let there =
            ready.any(|it| reasons.contains(&it.reason.as_str()) && it.message.contains(says));
        Ok(there.then_some(vector))
    })
    .await;
    match found {
        Ok((vector, took)) => {
            println!("{reasons:?} after {took:?}");
            Ok(vector)
        }
        Err(error) => Err(error.context(situation(fixture).await)),
    }
}

/// What helps to understand a failure.
async fn situation(fixture: &Fixture) -> String {
    let vectors: Api<PersonaVector> = Api::all(fixture.client.clone());
    let status = vectors.get(VECTOR).await.ok().and_then(|vector| vector.status);
    let mut all = format!("{status:?}\n");
    let pods: Api<Pod> = Api::namespaced(fixture.client.clone(), SYSTEM);
    let label = format!("{}={VECTOR}", names::VECTOR_LABEL);
    let found = pods.list(&ListParams::default().labels(&label)).await;
    for pod in found.map(|it| it.items).unwrap_or_default() {
        let status = pod.status.clone().unwrap_or_default();
        let initial = status.init_container_statuses.iter().flatten();
        for it in initial.chain(status.container_statuses.iter().flatten()) {
            all.push_str(&format!("{}: {:?}, before: {:?}\n", it.name, it.state, it.last_state));
        }
        for container in ["plugin", "vllm", "extract"] {
            all.push_str(&vllm::log(&pods, &pod, container).await);
        }
    }
    all
}

/// vLLM as a PersonaModel says it: its folders are claims of the operator's namespace.
async fn server(fixture: &Fixture, vllm: &Vllm) -> Result<Value> {
    let mut server = vllm.container(&["--max-num-seqs", "32"]);
    let mut volumes = Vec::new();
    for (number, folder) in vllm.folders()?.iter().enumerate() {
        let claim = format!("s25-{number}");
        fixture.claim_of(SYSTEM, &claim, &claim, folder).await?;
        volumes.push(json!({ "mountPath": folder, "claimName": claim }));
    }
    (server["volumes"], server["port"]) = (json!(volumes), json!(vllm::PORT));
    Ok(server)
}

#[tokio::test]
async fn s25_a_vector_is_made_by_the_users_own_vllm() -> Result<()> {
    let fixture = Fixture::new("s25").await?;
    let vllm = Vllm::find()?;
    let digest = vllm.digest()?;
    fixture.apply(&model(&digest, None)).await?;
    fixture
        .apply(&json!({
            "apiVersion": personaguard_api::API_VERSION, "kind": "PersonaVector",
            "metadata": { "name": VECTOR },
            "spec": {
                "trait": "apathetic", "model": MODEL,
                // With so few short answers, the vector may or may not be usable.
                "allowNotDiscriminative": true, "allowNotSteering": true,
                "extraction": { "tokens": 12, "questions": 4, "rollouts": 1, "seed": 1 }
            }
        }))
        .await?;
    condition(&fixture, PATIENCE, &["ModelRunByVllm"], "add spec.vllm").await?;

    // An image that is not there. The Job that is corrected is started anew.
    let right = server(&fixture, &vllm).await?;
    let mut wrong = right.clone();
    wrong["image"] = json!("localhost/s25-none:1");
    wrong["imagePullPolicy"] = json!("Never");
    fixture.apply(&model(&digest, Some(&wrong))).await?;
    condition(&fixture, PATIENCE, &["Extracting"], "Image localhost/s25-none:1").await?;
    fixture.apply(&model(&digest, Some(&right))).await?;
    let vector = condition(&fixture, EXTRACTION, &["Extracted"], "").await?;

    let status = vector.status.clone().context("no status")?;
    assert_eq!(status.model_digest.as_ref(), Some(&digest));
    assert!(status.calibration.is_some() && status.steering.len() == 5, "{status:?}");
    let maps: Api<ConfigMap> = Api::namespaced(fixture.client.clone(), SYSTEM);
    let made = names::for_extraction(VECTOR);
    let file = maps.get(&made).await?.binary_data.unwrap_or_default();
    let file = file.get(names::VECTOR_KEY).context("no file")?;
    let file = VectorFile::parse(&file.0)?;
    let made_on = file.metadata().made_on.clone().context("no madeOn")?;
    assert_eq!((made_on.engine.as_str(), made_on.dtype.as_str()), ("vllm", "float32"));
    assert_eq!((made_on.quantization, made_on.adapter), (None, None));

    // vLLM ends with what asked it.
    let jobs: Api<Job> = Api::namespaced(fixture.client.clone(), SYSTEM);
    wait::until("the Job to be complete", PATIENCE, || async {
        let status = jobs.get(&made).await?.status.unwrap_or_default();
        Ok((status.succeeded == Some(1)).then_some(()))
    })
    .await?;
    clean_up(&fixture, &vector).await?;
    fixture.finish().await
}

async fn clean_up(fixture: &Fixture, vector: &PersonaVector) -> Result<()> {
    let (client, delete) = (&fixture.client, DeleteParams::default());
    Api::<PersonaVector>::all(client.clone()).delete(&vector.name_any(), &delete).await?;
    Api::<PersonaModel>::all(client.clone()).delete(MODEL, &delete).await?;
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(client.clone(), SYSTEM);
    let volumes: Api<PersistentVolume> = Api::all(client.clone());
    for number in 0..Vllm::find()?.folders()?.len() {
        let claim = format!("s25-{number}");
        claims.delete(&claim, &delete).await?;
        volumes.delete(&claim, &delete).await?;
    }
    Ok(())
}
