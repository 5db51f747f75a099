//! Which Secrets an extraction may be given.

use crate::cluster::Cluster;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, DeleteParams, PostParams};
use personaguard_api::{PersonaVector, names};
use personaguard_e2e::{fixture, wait};
use serde_json::json;

#[tokio::test]
async fn issue_15_19_an_extraction_gets_no_secret_that_is_not_labelled_for_it() {
    let cluster = Cluster::connect().await;
    let secrets: Api<Secret> = Api::namespaced(cluster.client.clone(), fixture::SYSTEM);
    let name = format!("llm-{}", cluster.control);
    let labels = json!({ names::ENDPOINT_KEY_LABEL: "true" });
    let secret = json!({ "metadata": { "name": name, "labels": labels } });
    let secret: Secret = serde_json::from_value(secret).unwrap();
    secrets.create(&PostParams::default(), &secret).await.unwrap();
    let dry_run = PostParams { dry_run: true, ..PostParams::default() };
    let vectors: Api<PersonaVector> = Api::all(cluster.client.clone());
    let vector = async |secret: &str| {
        let key = json!({ "name": secret, "key": "tls.key" });
        let endpoint = json!({ "url": "https://llm.example/v1", "model": "m", "keySecret": key });
        let vector: PersonaVector = serde_json::from_value(json!({
            "metadata": { "name": "endpoint-key" },
            "spec": {
                "trait": "pompous", "description": "d", "model": "m",
                "extraction": { "endpoint": endpoint }
            }
        }))
        .unwrap();
        vectors.create(&dry_run, &vector).await.map(drop)
    };
    let jobs: Api<Job> = Api::namespaced(cluster.operator.clone(), fixture::SYSTEM);
    let job = async |secret: &str| {
        let source = json!({ "secretKeyRef": { "name": secret, "key": "tls.key" } });
        let container = json!({
            "name": "extract", "image": "i", "env": [{ "name": "KEY", "valueFrom": source }]
        });
        let labels = json!({ names::VECTOR_LABEL: "v" });
        let spec = json!({ "restartPolicy": "OnFailure", "containers": [container] });
        let job: Job = serde_json::from_value(json!({
            "metadata": { "name": "endpoint-key", "labels": labels },
            "spec": { "template": { "metadata": { "labels": labels }, "spec": spec } }
        }))
        .unwrap();
        jobs.create(&dry_run, &job).await.map(drop)
    };
    // The authority of the report server among them.
    for refused in ["personaguard-reports-tls"] {
        for result in [vector(refused).await, job(refused).await] {
            let refusal = result.unwrap_err().to_string();
            assert!(refusal.contains(names::ENDPOINT_KEY_LABEL), "{refusal}");
        }
    }
    wait::until("the labelled Secret to be known", fixture::PATIENCE, || async {
        Ok((vector(&name).await.is_ok() && job(&name).await.is_ok()).then_some(()))
    })
    .await
    .unwrap();
    secrets.delete(&name, &DeleteParams::default()).await.unwrap();
    cluster.finish(Vec::new()).await;
}
