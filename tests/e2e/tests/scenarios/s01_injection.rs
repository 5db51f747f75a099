//! 1. A matched pod gains the sidecar; an unmatched one is as it was applied; system namespaces are
//!    never touched.

use anyhow::Result;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::{Api, PostParams};
use personaguard_api::{PersonaPolicy, names};
use personaguard_e2e::fixture::{self, PATIENCE};
use personaguard_e2e::{Fixture, wait};
use serde_json::{Value, json};

fn pod(namespace: &str, labels: &Value) -> Pod {
    serde_json::from_value(json!({
        "metadata": { "name": "probe", "namespace": namespace, "labels": labels },
        "spec": { "containers": [{ "name": "app", "image": "localhost/chat-app:dev", "imagePullPolicy": "IfNotPresent" }] }
    }))
    .unwrap()
}

async fn dry_run(fixture: &Fixture, namespace: &str, labels: &Value) -> Result<Value> {
    let api: Api<Pod> = Api::namespaced(fixture.client.clone(), namespace);
    let params = PostParams { dry_run: true, ..PostParams::default() };
    let mut created = serde_json::to_value(api.create(&params, &pod(namespace, labels)).await?)?;
    for volatile in ["uid", "creationTimestamp", "managedFields", "resourceVersion", "generation"] {
        created["metadata"].as_object_mut().unwrap().remove(volatile);
    }
    // The API server names the token volume at random.
    let text = created.to_string();
    let random: Vec<&str> =
        text.split("kube-api-access-").skip(1).filter_map(|rest| rest.get(..5)).collect();
    let mut steady = text.clone();
    for suffix in random {
        steady = steady.replace(suffix, "xxxxx");
    }
    Ok(serde_json::from_str(&steady)?)
}

#[tokio::test]
async fn s01_a_matched_pod_gains_the_sidecar_and_no_other_pod_changes() -> Result<()> {
    let fixture = Fixture::new("s01").await?;
    let unmatched_before =
        dry_run(&fixture, &fixture.namespace, &json!({ "app": "other" })).await?;
    let system_before = dry_run(&fixture, "kube-system", &json!({ "app": "chat" })).await?;

    fixture
        .apply_policy(
            "chat",
            &json!([{ "vector": "evil", "threshold": { "sigma": 3 }, "action": "Alert" }]),
        )
        .await?;
    fixture.policy_condition("Accepted", "True").await?;
    // The API server's admission sees a new PersonaInjection a moment after it was written.
    let (matched, took) = wait::until("a matched pod to be injected", PATIENCE, || async {
        let pod = dry_run(&fixture, &fixture.namespace, &json!({ "app": "chat" })).await?;
        Ok(pod["spec"]["initContainers"].is_array().then_some(pod))
    })
    .await?;
    println!("injection in force {took:?} after the policy was accepted");

    let sidecar = &matched["spec"]["initContainers"][0];
    assert_eq!(sidecar["name"], names::CONTAINER);
    assert_eq!(sidecar["restartPolicy"], "Always", "a native sidecar");
    assert_eq!(sidecar["securityContext"]["runAsNonRoot"], true);
    assert_eq!(sidecar["securityContext"]["readOnlyRootFilesystem"], true);
    assert_eq!(sidecar["securityContext"]["allowPrivilegeEscalation"], false);
    for probe in ["startupProbe", "readinessProbe", "livenessProbe"] {
        assert!(sidecar[probe].is_object(), "{probe} is missing: {sidecar}");
    }
    let environment = matched["spec"]["containers"][0]["env"].as_array().unwrap();
    assert!(
        environment.iter().any(|variable| variable["name"] == names::BASE_URL_ENV),
        "{environment:?}"
    );

    let unmatched_after = dry_run(&fixture, &fixture.namespace, &json!({ "app": "other" })).await?;
    assert_eq!(
        unmatched_before, unmatched_after,
        "an unmatched pod is bit-identical to what was applied"
    );

    // A policy in a system namespace is refused by a condition, and its pods stay as they are.
    let mut stray = personaguard_e2e::objects::policy(
        "kube-system",
        &json!({ "app": "chat" }),
        &json!([{ "vector": "evil", "threshold": { "sigma": 3 }, "action": "Alert" }]),
    );
    stray["metadata"]["name"] = json!("stray");
    fixture.apply(&stray).await?;
    let policies: Api<PersonaPolicy> = Api::namespaced(fixture.client.clone(), "kube-system");
    let (policy, _) = wait::until("the stray policy to be refused", PATIENCE, || async {
        let policy = policies.get("stray").await?;
        Ok(fixture::condition(&policy, "Accepted")
            .is_some_and(|c| c.status == "False")
            .then_some(policy))
    })
    .await?;
    assert_eq!(fixture::condition(&policy, "Accepted").unwrap().reason, "NamespaceExcluded");
    assert_eq!(system_before, dry_run(&fixture, "kube-system", &json!({ "app": "chat" })).await?);
    policies.delete(&policy.name_any(), &kube::api::DeleteParams::default()).await?;
    fixture.finish().await
}
