//! 1. A selected pod gets the sidecar. No other pod changes, and none in a system namespace.

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
        "spec": { "containers": [{
            "name": "app", "image": "localhost/chat-app:dev", "imagePullPolicy": "IfNotPresent"
        }] }
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
    // The name of the token volume is random.
    let text = created.to_string();
    let random: Vec<&str> =
        text.split("kube-api-access-").skip(1).filter_map(|rest| rest.get(..5)).collect();
    let mut stable = text.clone();
    for suffix in random {
        stable = stable.replace(suffix, "xxxxx");
    }
    Ok(serde_json::from_str(&stable)?)
}

#[tokio::test]
async fn s01_a_selected_pod_gets_the_sidecar_and_no_other_pod_changes() -> Result<()> {
    let fixture = Fixture::new("s01").await?;
    let other_before = dry_run(&fixture, &fixture.namespace, &json!({ "app": "other" })).await?;
    let system_before = dry_run(&fixture, "kube-system", &json!({ "app": "chat" })).await?;

    fixture
        .apply_policy(
            "chat",
            &json!([{ "vector": "evil", "threshold": { "sigma": 3 }, "action": "Alert" }]),
        )
        .await?;
    fixture.policy_condition("Accepted", "True").await?;
    // The API server's admission sees a new PersonaInjection a moment after the write.
    let (selected, took) = wait::until("a selected pod to be injected", PATIENCE, || async {
        let pod = dry_run(&fixture, &fixture.namespace, &json!({ "app": "chat" })).await?;
        Ok(pod["spec"]["initContainers"].is_array().then_some(pod))
    })
    .await?;
    println!("injected {took:?} after the policy was accepted");

    let sidecar = &selected["spec"]["initContainers"][0];
    assert_eq!(sidecar["name"], names::CONTAINER);
    assert_eq!(sidecar["restartPolicy"], "Always", "a native sidecar");
    assert_eq!(sidecar["securityContext"]["runAsNonRoot"], true);
    assert_eq!(sidecar["securityContext"]["readOnlyRootFilesystem"], true);
    assert_eq!(sidecar["securityContext"]["allowPrivilegeEscalation"], false);
    for probe in ["startupProbe", "readinessProbe", "livenessProbe"] {
        assert!(sidecar[probe].is_object(), "{probe} is missing: {sidecar}");
    }
    let environment = selected["spec"]["containers"][0]["env"].as_array().unwrap();
    assert!(
        environment.iter().any(|variable| variable["name"] == names::BASE_URL_ENV),
        "{environment:?}"
    );

    let other_after = dry_run(&fixture, &fixture.namespace, &json!({ "app": "other" })).await?;
    assert_eq!(other_before, other_after, "a pod that is not selected is exactly what was applied");

    // A policy in a system namespace is rejected by a condition, and its pods stay as they are.
    let mut stray = personaguard_e2e::objects::policy(
        "kube-system",
        &json!({ "app": "chat" }),
        &json!([{ "vector": "evil", "threshold": { "sigma": 3 }, "action": "Alert" }]),
    );
    stray["metadata"]["name"] = json!("stray");
    fixture.apply(&stray).await?;
    let policies: Api<PersonaPolicy> = Api::namespaced(fixture.client.clone(), "kube-system");
    let (policy, _) = wait::until("the stray policy to be rejected", PATIENCE, || async {
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
