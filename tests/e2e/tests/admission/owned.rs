//! What only the operator may write.

use crate::cluster::{Cluster, labelled};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use personaguard_api::{PersonaInjection, PersonaPolicy, PersonaReport};
use personaguard_e2e::{fixture, wait};
use serde_json::{Value, json};

fn map(labels: &Value) -> ConfigMap {
    let metadata = json!({ "name": "personaguard-m", "labels": labels });
    serde_json::from_value(json!({ "metadata": metadata, "data": { "config.yaml": "x" } })).unwrap()
}

#[tokio::test]
async fn issue_15_14_what_the_operator_owns_is_changed_by_nobody_else() {
    let cluster = Cluster::connect().await;
    let namespace = cluster.guarded("owned", &json!([{ "matchLabels": { "app": "x" } }])).await;
    let ours = json!({ "app.kubernetes.io/managed-by": "personaguard" });
    let stranger: Api<ConfigMap> = Api::namespaced(cluster.client.clone(), &namespace);
    let operator: Api<ConfigMap> = Api::namespaced(cluster.operator.clone(), &namespace);
    let write = PostParams::default();
    let refused = |what: &str, result: kube::Result<()>| {
        let refusal = result.expect_err(what).to_string();
        assert!(refusal.contains("nobody else"), "{what}: {refusal}");
    };
    refused("create", stranger.create(&write, &map(&ours)).await.map(drop));
    operator.create(&write, &map(&ours)).await.unwrap();
    let edit = async |patch: Value| {
        let params = PatchParams::default();
        stranger.patch("personaguard-m", &params, &Patch::Merge(patch)).await.map(drop)
    };
    for (what, patch) in [
        ("loosened", json!({ "data": { "config.yaml": "loose" } })),
        ("made immutable", json!({ "immutable": true })),
        ("disowned", json!({ "metadata": { "labels": { "app.kubernetes.io/managed-by": null } } })),
        ("held", json!({ "metadata": { "finalizers": ["example.org/mine"] } })),
        ("annotated", json!({ "metadata": { "annotations": { "a": "b" } } })),
    ] {
        refused(what, edit(patch).await);
    }
    let delete = DeleteParams::default();
    refused("deleted", stranger.delete("personaguard-m", &delete).await.map(drop));
    let injections: Api<PersonaInjection> = Api::namespaced(cluster.client.clone(), &namespace);
    refused("an injection", injections.delete("case", &delete).await.map(drop));
    let everything = Patch::Merge(json!({ "spec": { "selectors": [{}] } }));
    let edited = injections.patch("case", &PatchParams::default(), &everything).await;
    refused("an edited injection", edited.map(drop));
    let plain: PersonaInjection = serde_json::from_value(json!({
        "metadata": { "name": "mine" }, "spec": cluster.injection
            .as_object().unwrap().iter().map(|(key, value)| (key.clone(), value.clone()))
            .chain([("selectors".to_owned(), json!([]))]).collect::<serde_json::Map<_, _>>()
    }))
    .unwrap();
    refused("a new injection", injections.create(&write, &plain).await.map(drop));
    // An app's own ConfigMap is nobody's business, whatever its name.
    let mut own = map(&json!({ "app": "chat" }));
    own.metadata.name = Some("personaguard-prompts".to_owned());
    stranger.create(&write, &own).await.unwrap();
    stranger.delete("personaguard-prompts", &delete).await.unwrap();
    // The namespace goes, with what is in it.
    cluster.finish(vec![namespace.clone()]).await;
    let namespaces: Api<Namespace> = Api::all(cluster_client().await);
    wait::until("the namespace to be gone", fixture::PATIENCE, || async {
        Ok(namespaces.get_opt(&namespace).await?.is_none().then_some(()))
    })
    .await
    .unwrap();
}

async fn cluster_client() -> kube::Client {
    kube::Client::try_default().await.unwrap()
}

#[tokio::test]
async fn issue_15_16_the_kind_that_closed_admission_reads_stays_while_the_policy_does() {
    let cluster = Cluster::connect().await;
    let kinds: Api<CustomResourceDefinition> = Api::all(cluster.client.clone());
    let dry_run = DeleteParams { dry_run: true, ..DeleteParams::default() };
    let delete = async |kind: &str| kinds.delete(kind, &dry_run).await.map(drop);
    let refusal = delete("personainjections.personaguard.dev").await.unwrap_err().to_string();
    assert!(refusal.contains("uninstall the chart personaguard first"), "{refusal}");
    delete("datasetscreens.personaguard.dev").await.unwrap();
    assert!(cluster.dry_run(&cluster.control, &labelled(&json!({}))).await.is_ok());
    cluster.finish(Vec::new()).await;
}

/// A new leader believes what reports and statuses say.
#[tokio::test]
async fn issue_15_14_reports_and_statuses_are_written_by_nobody_else() {
    let cluster = Cluster::connect().await;
    let namespace = cluster.guarded("remembered", &json!([])).await;
    let (stranger, operator) = (cluster.client.clone(), cluster.operator.clone());
    let refused = |what: &str, result: kube::Result<()>| {
        let refusal = result.expect_err(what).to_string();
        assert!(refusal.contains("nobody else"), "{what}: {refusal}");
    };
    let reference = json!({ "apiVersion": "apps/v1", "kind": "Deployment", "name": "chat",
        "uid": "u" });
    let report: PersonaReport = serde_json::from_value(json!({
        "metadata": { "name": "deployment-chat" }, "spec": { "workload": reference }
    }))
    .unwrap();
    let write = PostParams::default();
    let reports = |client: &kube::Client| Api::namespaced(client.clone(), &namespace);
    let forged: Api<PersonaReport> = reports(&stranger);
    refused("a report", forged.create(&write, &report).await.map(drop));
    let genuine: Api<PersonaReport> = reports(&operator);
    genuine.create(&write, &report).await.unwrap();
    let status = Patch::Merge(json!({ "status": { "podsReporting": "9/9" } }));
    let params = PatchParams::default();
    let name = "deployment-chat";
    refused("its status", forged.patch_status(name, &params, &status).await.map(drop));
    refused("its workload", {
        let other = Patch::Merge(json!({ "spec": { "workload": { "name": "mine" } } }));
        forged.patch(name, &params, &other).await.map(drop)
    });
    genuine.patch_status(name, &params, &status).await.unwrap();
    let policies: Api<PersonaPolicy> = Api::namespaced(stranger, &namespace);
    let policy: PersonaPolicy = serde_json::from_value(json!({
        "metadata": { "name": "mine" },
        "spec": {
            "mode": "Audit", "selector": {}, "model": "none",
            "traits": [{ "vector": "evil", "action": "Audit" }]
        }
    }))
    .unwrap();
    policies.create(&write, &policy).await.unwrap();
    let calibrated = Patch::Merge(json!({ "status": { "guarded": "1/1" } }));
    refused("a policy's", policies.patch_status("mine", &params, &calibrated).await.map(drop));
    // What people write and delete stays theirs.
    let edit = Patch::Merge(json!({ "spec": { "mode": "Enforce" } }));
    policies.patch("mine", &params, &edit).await.unwrap();
    policies.delete("mine", &DeleteParams::default()).await.unwrap();
    forged.delete(name, &DeleteParams::default()).await.unwrap();
    cluster.finish(vec![namespace]).await;
}
