//! An app that never meets its sidecar, and pods that never come to be: the policy is not
//! Ready, and says what was found.

use anyhow::Result;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, ListParams};
use personaguard_api::PersonaPolicy;
use personaguard_e2e::fixture::{self, PATIENCE};
use personaguard_e2e::{Fixture, objects, prompts, wait};
use serde_json::{Value, json};

fn traits() -> Value {
    json!([{ "vector": "evil", "threshold": { "projection": 1e6 }, "action": "Block" }])
}

fn app(fixture: &Fixture) -> Value {
    objects::chat_app(&fixture.namespace, "chat", &json!({ "app": "chat" }), prompts::PLAIN)
}

/// Waits until condition Ready is not True for this reason.
async fn not_ready(fixture: &Fixture, reason: &str) -> Result<Condition> {
    let policies: Api<PersonaPolicy> = fixture.api();
    let what = format!("the policy not to be Ready: {reason}");
    let (condition, took) = wait::until(&what, PATIENCE, || async {
        let policy = policies.get("no-villains").await?;
        let ready = fixture::condition(&policy, "Ready").cloned();
        let found = |it: &Condition| it.status == "False" && it.reason == reason;
        match ready {
            Some(ready) if found(&ready) => Ok(Some(ready)),
            other => anyhow::bail!("{other:?}"),
        }
    })
    .await?;
    println!("{reason} after {took:?}: {}", condition.message);
    Ok(condition)
}

#[tokio::test]
async fn s21_issue_15_20_an_app_with_a_server_of_its_own_is_not_guarded() -> Result<()> {
    let fixture = Fixture::new("s21").await?;
    fixture.apply_policy("chat", &traits()).await?;
    fixture.policy_condition("Accepted", "True").await?;
    let mut app = app(&fixture);
    let elsewhere = json!({ "name": "OPENAI_BASE_URL", "value": "http://gateway.other.svc/v1" });
    let env = &mut app["spec"]["template"]["spec"]["containers"][0]["env"];
    env.as_array_mut().unwrap().push(elsewhere);
    fixture.apply(&app).await?;
    fixture.ready_pod("chat").await?;
    let condition = not_ready(&fixture, "AppUsesAnotherServer").await?;
    assert!(condition.message.contains("Container chat"), "{}", condition.message);
    fixture.policy_condition("BypassDetected", "True").await?;
    fixture.finish().await
}

#[tokio::test]
async fn s21_issue_15_20_a_port_that_the_sidecar_has_is_told() -> Result<()> {
    // It takes a minute to start, and these scenarios measure no times.
    crate::s23_engine::begin().await?;
    let fixture = Fixture::new("s21p").await?;
    fixture.apply_policy("chat", &traits()).await?;
    fixture.policy_condition("Accepted", "True").await?;
    let mut app = app(&fixture);
    let ports = json!([{ "name": "pg-admin", "containerPort": 8791 }]);
    let container = &mut app["spec"]["template"]["spec"]["containers"][0];
    (container["ports"], container["readinessProbe"]) = (ports, Value::Null);
    fixture.apply(&app).await?;
    let condition = not_ready(&fixture, "PortConflict").await?;
    assert!(condition.message.contains("8791"), "{}", condition.message);
    fixture.finish().await
}

#[tokio::test]
async fn s21_issue_15_20_what_keeps_pods_from_being_is_told() -> Result<()> {
    let fixture = Fixture::new("s21q").await?;
    fixture
        .apply(&json!({
            "apiVersion": "v1", "kind": "ResourceQuota",
            "metadata": { "name": "compute", "namespace": fixture.namespace },
            "spec": { "hard": { "limits.cpu": "8" } }
        }))
        .await?;
    fixture.apply_policy("chat", &traits()).await?;
    fixture.policy_condition("Accepted", "True").await?;
    let mut app = app(&fixture);
    let limits = json!({ "limits": { "cpu": "1" } });
    app["spec"]["template"]["spec"]["containers"][0]["resources"] = limits;
    fixture.apply(&app).await?;
    let condition = not_ready(&fixture, "PodsNotCreated").await?;
    let message = &condition.message;
    assert!(message.contains("quota") && message.contains("personaguard"), "{message}");
    let quotas: Api<k8s_openapi::api::core::v1::ResourceQuota> = fixture.api();
    quotas.delete("compute", &DeleteParams::default()).await?;

    // Pods that no node takes.
    let mut nowhere = app.clone();
    nowhere["spec"]["template"]["spec"]["nodeSelector"] = json!({ "example.org/none": "here" });
    fixture.apply(&nowhere).await?;
    let condition = not_ready(&fixture, "PodNotScheduled").await?;
    assert!(condition.message.contains("node"), "{}", condition.message);

    // Another container of the sidecar's name.
    let mut namesake = app.clone();
    let own = json!({ "name": "personaguard", "image": "localhost/chat-app:dev" });
    namesake["spec"]["template"]["spec"]["containers"] = json!([own]);
    fixture.apply(&namesake).await?;
    let condition = not_ready(&fixture, "PodsWithoutSidecar").await?;
    let message = &condition.message;
    assert!(message.contains("another container named personaguard"), "{message}");

    // A node of another system.
    let mut windows = app.clone();
    windows["spec"]["template"]["spec"]["nodeSelector"] = json!({ "kubernetes.io/os": "windows" });
    fixture.apply(&windows).await?;
    wait::until("the message to name Windows", PATIENCE, || async {
        let condition = not_ready(&fixture, "PodsWithoutSidecar").await?;
        Ok(condition.message.contains("for Windows nodes").then_some(()))
    })
    .await?;
    fixture.finish().await
}

async fn list_is_empty(pods: &Api<Pod>) -> Result<bool> {
    Ok(pods.list(&ListParams::default().labels("app=chat")).await?.items.is_empty())
}

#[tokio::test]
async fn s21_issue_15_20_an_image_that_cannot_be_pulled_is_told() -> Result<()> {
    let fixture = Fixture::new("s21i").await?;
    fixture.apply_policy("chat", &traits()).await?;
    fixture.policy_condition("Accepted", "True").await?;
    // A mirror that is not there, as a later webhook would write it in.
    let name = format!("zz-{}", fixture.namespace);
    let expression = "object.spec.?initContainers.orValue([]).exists(c, \
                      !c.image.startsWith('127.0.0.1:1/')) ? \
                      [JSONPatch{op: 'replace', path: '/spec/initContainers/0/image', \
                      value: '127.0.0.1:1/personaguard:1'}] : []";
    let rules = json!([{
        "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]
    }]);
    let selector = json!({ "matchLabels": { "kubernetes.io/metadata.name": fixture.namespace } });
    fixture
        .apply(&json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingAdmissionPolicy",
            "metadata": { "name": name },
            "spec": {
                "failurePolicy": "Fail", "reinvocationPolicy": "IfNeeded",
                "matchConstraints": { "resourceRules": rules, "namespaceSelector": selector },
                "mutations": [
                    { "patchType": "JSONPatch", "jsonPatch": { "expression": expression } }
                ]
            }
        }))
        .await?;
    let binding = fixture
        .apply(&json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "MutatingAdmissionPolicyBinding",
            "metadata": { "name": name }, "spec": { "policyName": name }
        }))
        .await?;
    assert_eq!(binding.name_any(), name);
    // The API server sees it within seconds; until then pods get the sidecar that there is.
    let deployments: Api<Deployment> = fixture.api();
    let pods: Api<Pod> = fixture.api();
    wait::until("the mirror's image in a pod", PATIENCE, || async {
        fixture.apply(&app(&fixture)).await?;
        let list = pods.list(&ListParams::default().labels("app=chat")).await?;
        let mut containers = list.items.into_iter().filter_map(|pod| pod.spec?.init_containers);
        let mirrored = containers.any(|containers| {
            containers.iter().any(|it| it.image.as_deref() == Some("127.0.0.1:1/personaguard:1"))
        });
        if !mirrored && !list_is_empty(&pods).await? {
            deployments.delete("chat", &DeleteParams::default()).await?;
        }
        Ok(mirrored.then_some(()))
    })
    .await?;
    let condition = not_ready(&fixture, "SidecarImageUnavailable").await?;
    let message = &condition.message;
    assert!(message.contains("127.0.0.1:1/personaguard:1"), "{message}");
    assert!(!message.contains("check the log"), "there is none: {message}");
    for (kind, plural) in [
        ("MutatingAdmissionPolicyBinding", "mutatingadmissionpolicybindings"),
        ("MutatingAdmissionPolicy", "mutatingadmissionpolicies"),
    ] {
        let mut resource = kube::core::ApiResource::from_gvk(&kube::core::GroupVersionKind::gvk(
            "admissionregistration.k8s.io",
            "v1",
            kind,
        ));
        resource.plural = plural.to_owned();
        let api: Api<kube::api::DynamicObject> = Api::all_with(fixture.client.clone(), &resource);
        api.delete(&name, &DeleteParams::default()).await?;
    }
    fixture.finish().await
}

#[tokio::test]
async fn s21_issue_15_20_a_front_container_with_a_service_of_its_own_is_a_way_past() -> Result<()> {
    let fixture = Fixture::new("s21f").await?;
    let mut policy = objects::policy(&fixture.namespace, &json!({ "app": "llm" }), &traits());
    (policy["spec"]["placement"], policy["spec"]["port"]) = (json!("Proxy"), json!("http"));
    fixture.apply(&policy).await?;
    fixture.policy_condition("Accepted", "True").await?;
    let model = fixture::model_manifest()?;
    fixture.apply(&objects::llm_config(&fixture.namespace, "llm", &model)).await?;
    let mut server = objects::llm_server(&fixture.namespace, "llm");
    // A front that clients reach, and that goes to the model by loopback.
    let front = json!({
        "name": "front", "image": "localhost/chat-app:dev", "imagePullPolicy": "IfNotPresent",
        "ports": [{ "name": "front", "containerPort": 8080 }],
        "env": [{ "name": "OPENAI_BASE_URL", "value": "http://127.0.0.1:8000/v1" }]
    });
    server["spec"]["template"]["spec"]["containers"].as_array_mut().unwrap().push(front);
    fixture.apply(&server).await?;
    fixture.apply(&objects::service(&fixture.namespace, "llm", "llm", &json!("http"))).await?;
    let pod = fixture.ready_pod("llm").await?;
    fixture.policy_condition("Ready", "True").await?;

    // Nothing leads there but a client that knows the way: the sidecar sees it all the same.
    let chat = fixture.chat(&pod)?;
    chat.ask(None, prompts::QUESTIONS[0]).await?;
    let condition = not_ready(&fixture, "ConnectionsBypassSidecar").await?;
    assert!(condition.message.contains("8000"), "{}", condition.message);

    // A Service that leads there says so before anyone uses it.
    fixture.apply(&objects::service(&fixture.namespace, "front", "llm", &json!(8080))).await?;
    let condition = not_ready(&fixture, "FrontBypassesSidecar").await?;
    assert!(condition.message.contains("container front"), "{}", condition.message);
    fixture.finish().await
}
