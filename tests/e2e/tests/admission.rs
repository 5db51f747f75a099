//! The chart's injection policy on a real API server: the cases of `tests/admission/`, by
//! server-side dry run.
//!
//! Each answer is compared in full with what the same API server makes of the same pod in an
//! excluded namespace: unchanged, or with the sidecar added by hand.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use kube::{Client, ResourceExt};
use personaguard_api::{PersonaInjection, names};
use personaguard_e2e::{environment, fixture, wait};
use serde_json::{Value, json};
use std::path::Path;

fn cases(file: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../admission").join(file);
    let text = std::fs::read_to_string(&path).unwrap();
    serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

struct Cluster {
    client: Client,
    injection: Value,
    /// A namespace that the policy excludes.
    control: String,
}

impl Cluster {
    async fn connect() -> Self {
        environment::variable("KUBECONFIG").unwrap();
        // Fails only if an earlier test has installed a provider.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::try_default().await.unwrap();
        let mut cluster =
            Self { client, injection: cases("injection.yaml"), control: String::new() };
        cluster.control = cluster
            .namespace("control", &json!({ "personaguard.dev/injection": "disabled" }))
            .await;
        cluster
    }

    async fn namespace(&self, name: &str, labels: &Value) -> String {
        let generate_name = format!("admission-{name}-");
        let metadata = json!({ "generateName": generate_name, "labels": labels });
        let namespace: Namespace = serde_json::from_value(json!({ "metadata": metadata })).unwrap();
        Api::all(self.client.clone())
            .create(&PostParams::default(), &namespace)
            .await
            .unwrap()
            .name_any()
    }

    async fn inject(
        &self,
        namespace: &str,
        name: &str,
        selectors: &Value,
        image: Option<&str>,
    ) -> Value {
        let mut spec = self.injection.clone();
        spec["selectors"] = selectors.clone();
        if let Some(image) = image {
            spec["container"]["image"] = json!(image);
        }
        self.write(namespace, name, spec).await
    }

    async fn write(&self, namespace: &str, name: &str, spec: Value) -> Value {
        let object: PersonaInjection = serde_json::from_value(
            json!({ "metadata": { "name": name, "namespace": namespace }, "spec": spec }),
        )
        .unwrap();
        let api: Api<PersonaInjection> = Api::namespaced(self.client.clone(), namespace);
        api.create(&PostParams::default(), &object).await.unwrap();
        spec
    }

    /// A namespace with selectors in force.
    async fn guarded(&self, name: &str, selectors: &Value) -> String {
        let namespace = self.namespace(name, &json!({})).await;
        self.inject(&namespace, "case", selectors, None).await;
        self.settle(&namespace).await;
        namespace
    }

    /// Waits until the API server has seen the PersonaInjections of a namespace. It sees them in
    /// the order of the writes, so once a later one works, the earlier ones do, too.
    async fn settle(&self, namespace: &str) {
        let sentinel = labelled(&json!({ "sentinel": namespace }));
        self.inject(
            namespace,
            "sentinel",
            &json!([{ "matchLabels": { "sentinel": namespace } }]),
            None,
        )
        .await;
        wait::until(
            "the API server to see the sentinel's PersonaInjection",
            fixture::PATIENCE,
            || async {
                let pod = self.dry_run(namespace, &sentinel).await.map_err(anyhow::Error::msg)?;
                Ok(pod["spec"]["initContainers"].is_array().then_some(()))
            },
        )
        .await
        .unwrap();
    }

    /// What the API server makes of a pod, without the fields that differ between requests.
    async fn dry_run(&self, namespace: &str, pod: &Value) -> Result<Value, String> {
        let mut pod: Value = pod.clone();
        // The token volume's name is random, and the order of the mounts depends on that of the
        // admission plugins.
        if pod["spec"]["automountServiceAccountToken"].is_null() {
            pod["spec"]["automountServiceAccountToken"] = json!(false);
        }
        // The API server's default, set here so that the cases also hold where that plugin is off.
        if pod["spec"]["serviceAccountName"].is_null() {
            pod["spec"]["serviceAccountName"] = json!("default");
        }
        let pod: Pod = serde_json::from_value(pod).unwrap();
        let params = PostParams { dry_run: true, ..PostParams::default() };
        let answer =
            Api::<Pod>::namespaced(self.client.clone(), namespace).create(&params, &pod).await;
        let mut answer = serde_json::to_value(answer.map_err(|error| error.to_string())?).unwrap();
        for volatile in ["uid", "creationTimestamp", "managedFields", "namespace"] {
            answer["metadata"].as_object_mut().unwrap().remove(volatile);
        }
        if !answer["metadata"]["generateName"].is_null() {
            answer["metadata"].as_object_mut().unwrap().remove("name");
        }
        Ok(answer)
    }

    async fn assert_injected(&self, namespace: &str, pod: &Value, what: &str) {
        let expected =
            self.dry_run(&self.control, &injected_by_hand(pod, &self.injection)).await.unwrap();
        assert_eq!(self.dry_run(namespace, pod).await.unwrap(), expected, "{what}");
    }

    async fn assert_untouched(&self, namespace: &str, pod: &Value, what: &str) {
        let expected = self.dry_run(&self.control, pod).await.unwrap();
        assert_eq!(self.dry_run(namespace, pod).await.unwrap(), expected, "{what}");
    }

    /// Not called if a test fails, so that the objects can be inspected.
    async fn finish(self, namespaces: Vec<String>) {
        for namespace in namespaces.iter().chain([&self.control]) {
            Api::<Namespace>::all(self.client.clone())
                .delete(namespace, &DeleteParams::default())
                .await
                .unwrap();
        }
    }
}

/// A second implementation of injection: the sidecar comes first, its volumes replace those of the
/// same name, and containers get the variables that they do not have, before their own.
fn injected_by_hand(pod: &Value, injection: &Value) -> Value {
    let mut pod = pod.clone();
    let named = |items: &[Value], name: &Value| items.iter().any(|item| item["name"] == *name);
    let spec = &mut pod["spec"];
    let mut init = vec![injection["container"].clone()];
    init.extend_from_slice(list(&spec["initContainers"]));
    spec["initContainers"] = json!(init);
    let added = list(&injection["volumes"]);
    let mut volumes: Vec<Value> = list(&spec["volumes"])
        .iter()
        .filter(|volume| !named(added, &volume["name"]))
        .cloned()
        .collect();
    volumes.extend_from_slice(added);
    spec["volumes"] = json!(volumes);
    for container in spec["containers"].as_array_mut().unwrap() {
        let own = list(&container["env"]);
        let mut env: Vec<Value> = list(&injection["env"])
            .iter()
            .filter(|variable| !named(own, &variable["name"]))
            .cloned()
            .collect();
        env.extend_from_slice(own);
        if !env.is_empty() {
            container["env"] = json!(env);
        }
    }
    pod
}

fn labelled(labels: &Value) -> Value {
    let mut pod = json!({
        "metadata": { "name": "app" },
        "spec": { "containers": [{ "name": "app", "image": "app" }] }
    });
    if !labels.is_null() {
        pod["metadata"]["labels"] = labels.clone();
    }
    pod
}

#[tokio::test]
async fn label_selectors_select_what_kubernetes_says_they_do() {
    let cluster = Cluster::connect().await;
    let mut namespaces = Vec::new();
    for case in list(&cases("selectors.yaml")) {
        let name = case["name"].as_str().unwrap();
        let namespace = cluster.guarded(name, &case["selectors"]).await;
        for labels in list(&case["injected"]) {
            cluster
                .assert_injected(
                    &namespace,
                    &labelled(labels),
                    &format!("{name}: {labels} is selected"),
                )
                .await;
        }
        for labels in list(&case["untouched"]) {
            cluster
                .assert_untouched(
                    &namespace,
                    &labelled(labels),
                    &format!("{name}: {labels} is not selected"),
                )
                .await;
        }
        namespaces.push(namespace);
    }
    cluster.finish(namespaces).await;
}

#[tokio::test]
async fn odd_pods_get_exactly_the_sidecar_or_stay_identical() {
    let cluster = Cluster::connect().await;
    let namespace = cluster.guarded("pods", &json!([{}])).await;
    for case in list(&cases("pods.yaml")) {
        let (name, pod) = (case["name"].as_str().unwrap(), &case["pod"]);
        match case["expect"].as_str().unwrap() {
            "Injected" => cluster.assert_injected(&namespace, pod, name).await,
            "Untouched" => cluster.assert_untouched(&namespace, pod, name).await,
            "Refused" => {
                let refusal = cluster.dry_run(&namespace, pod).await.unwrap_err();
                assert!(refusal.contains(case["message"].as_str().unwrap()), "{name}: {refusal}");
            }
            other => panic!("{name}: expect is Injected, Untouched or Refused, not {other}"),
        }
    }
    cluster.finish(vec![namespace]).await;
}

#[tokio::test]
async fn placement_proxy_takes_over_the_named_port_and_nothing_else() {
    let cluster = Cluster::connect().await;
    let namespace = cluster.namespace("takeover", &json!({})).await;
    let mut spec = cluster.injection.clone();
    (spec["selectors"], spec["takeover"], spec["env"]) = (json!([{}]), json!("http"), json!([]));
    let taken = json!({ "name": "http", "containerPort": 8790, "protocol": "TCP" });
    spec["container"]["ports"].as_array_mut().unwrap().push(taken);
    let spec = cluster.write(&namespace, "case", spec).await;
    cluster.settle(&namespace).await;
    for case in list(&cases("takeover.yaml")) {
        let (name, pod) = (case["name"].as_str().unwrap(), &case["pod"]);
        let Some(port) = case["upstream"].as_u64() else {
            cluster.assert_untouched(&namespace, pod, name).await;
            continue;
        };
        let mut expected = pod.clone();
        expected["spec"]["containers"] = case["containers"].clone();
        let mut spec = spec.clone();
        let upstream =
            json!({ "name": "PERSONAGUARD_UPSTREAM", "value": format!("http://127.0.0.1:{port}") });
        spec["container"]["env"].as_array_mut().unwrap().push(upstream);
        let expected =
            cluster.dry_run(&cluster.control, &injected_by_hand(&expected, &spec)).await.unwrap();
        assert_eq!(cluster.dry_run(&namespace, pod).await.unwrap(), expected, "{name}");
    }
    cluster.finish(vec![namespace]).await;
}

#[tokio::test]
async fn invariant_9_a_pod_of_a_closed_policy_never_starts_unguarded_and_no_other_is_held_up() {
    let cluster = Cluster::connect().await;
    let namespace = cluster.namespace("closed", &json!({})).await;
    let mut spec = cluster.injection.clone();
    spec["selectors"] = json!([{}]);
    spec["closedSelectors"] = json!([{ "matchLabels": { "app": "chat" } }]);
    cluster.write(&namespace, "closed", spec).await;
    cluster.settle(&namespace).await;
    let opted_out =
        |app: &str| labelled(&json!({ "app": app, "personaguard.dev/inject": "false" }));
    let on_the_node = |app: &str| {
        let mut pod = labelled(&json!({ "app": app }));
        pod["spec"]["hostNetwork"] = json!(true);
        pod
    };
    let pretends = |app: &str| {
        let mut pod = labelled(&json!({ "app": app }));
        pod["spec"]["initContainers"] =
            json!([{ "name": names::CONTAINER, "image": "mine", "restartPolicy": "Always" }]);
        pod
    };
    // The API server may see the validating policy a moment later than the injecting one.
    wait::until("a pod without a sidecar to be refused", fixture::PATIENCE, || async {
        Ok(cluster.dry_run(&namespace, &opted_out("chat")).await.err())
    })
    .await
    .unwrap();
    for (pod, mentioned) in [
        (opted_out("chat"), "remove personaguard.dev/inject=false"),
        (on_the_node("chat"), "the node's network"),
        (pretends("chat"), "kubectl get personainjections"),
    ] {
        let refusal = cluster.dry_run(&namespace, &pod).await.unwrap_err();
        assert!(
            refusal.contains("failurePolicy Closed") && refusal.contains(mentioned),
            "{refusal}"
        );
    }
    cluster
        .assert_injected(
            &namespace,
            &labelled(&json!({ "app": "chat" })),
            "it starts with its sidecar",
        )
        .await;
    cluster
        .assert_untouched(&namespace, &opted_out("other"), "a pod that no such policy selects")
        .await;
    cluster
        .assert_untouched(&namespace, &on_the_node("other"), "a pod that no such policy selects")
        .await;
    cluster.finish(vec![namespace]).await;
}

#[tokio::test]
async fn of_two_injections_for_a_pod_one_is_applied_completely() {
    let cluster = Cluster::connect().await;
    let namespace = cluster.namespace("two", &json!({})).await;
    let first = cluster.inject(&namespace, "first", &json!([{}]), Some("localhost/first:1")).await;
    let second = cluster
        .inject(
            &namespace,
            "second",
            &json!([{ "matchLabels": { "app": "chat" } }]),
            Some("localhost/second:1"),
        )
        .await;
    cluster.settle(&namespace).await;
    let pod = labelled(&json!({ "app": "chat" }));
    let mut expected = Vec::new();
    for injection in [&first, &second] {
        expected.push(
            cluster.dry_run(&cluster.control, &injected_by_hand(&pod, injection)).await.unwrap(),
        );
    }
    // Which one it is may differ each time.
    for _ in 0..20 {
        let seen = cluster.dry_run(&namespace, &pod).await.unwrap();
        assert!(expected.contains(&seen), "a mixture, or two sidecars: {seen}");
    }
    cluster.finish(vec![namespace]).await;
}

#[tokio::test]
async fn excluded_namespaces_are_never_touched() {
    let cluster = Cluster::connect().await;
    let disabled =
        cluster.namespace("disabled", &json!({ "personaguard.dev/injection": "disabled" })).await;
    let mut excluded: Vec<&str> = names::EXCLUDED_NAMESPACES.to_vec();
    excluded.extend([fixture::SYSTEM, &disabled]);
    // A selector that matches no system pod, in case the exclusion fails.
    let probe = json!({ "admission-probe": cluster.control });
    let api =
        |namespace: &str| Api::<PersonaInjection>::namespaced(cluster.client.clone(), namespace);
    for namespace in &excluded {
        cluster.inject(namespace, &cluster.control, &json!([{ "matchLabels": probe }]), None).await;
    }
    let elsewhere = cluster.guarded("elsewhere", &json!([{ "matchLabels": probe }])).await;
    cluster.assert_injected(&elsewhere, &labelled(&probe), "the selector works elsewhere").await;
    let mut seen = Vec::new();
    for namespace in &excluded {
        seen.push(cluster.dry_run(namespace, &labelled(&probe)).await.unwrap());
        api(namespace).delete(&cluster.control, &DeleteParams::default()).await.unwrap();
    }
    let expected = cluster.dry_run(&cluster.control, &labelled(&probe)).await.unwrap();
    for (namespace, pod) in excluded.iter().zip(seen) {
        assert_eq!(pod, expected, "{namespace}");
    }
    cluster.finish(vec![elsewhere, disabled.clone()]).await;
}

#[tokio::test]
async fn an_existing_pod_and_its_subresources_are_never_changed() {
    let cluster = Cluster::connect().await;
    let namespace = cluster.guarded("later", &json!([{ "matchLabels": { "app": "chat" } }])).await;
    let api: Api<Pod> = Api::namespaced(cluster.client.clone(), &namespace);
    let mut pod = labelled(&json!({ "app": "not-yet" }));
    // It is never scheduled, so its deletion takes effect at once.
    pod["spec"]["schedulingGates"] = json!([{ "name": "example.org/never" }]);
    pod["spec"]["automountServiceAccountToken"] = json!(false);
    let pod: Pod = serde_json::from_value(pod).unwrap();
    let created =
        wait::until("the namespace to have its ServiceAccount", fixture::PATIENCE, || async {
            Ok(Some(api.create(&PostParams::default(), &pod).await?))
        });
    let (created, _) = created.await.unwrap();
    assert!(created.spec.unwrap().init_containers.is_none());
    let dry_run = PatchParams { dry_run: true, ..PatchParams::default() };
    let relabelled = Patch::Merge(json!({ "metadata": { "labels": { "app": "chat" } } }));
    let answer = api.patch("app", &dry_run, &relabelled).await.unwrap();
    assert!(answer.spec.unwrap().init_containers.is_none(), "an update of a pod");
    api.patch("app", &PatchParams::default(), &relabelled).await.unwrap();
    let debugger = Patch::Strategic(
        json!({ "spec": { "ephemeralContainers": [{ "name": "debug", "image": "debug" }] } }),
    );
    let answer =
        api.patch_subresource("ephemeralcontainers", "app", &dry_run, &debugger).await.unwrap();
    let spec = serde_json::to_value(answer.spec.unwrap()).unwrap();
    assert_eq!(spec["ephemeralContainers"][0]["name"], "debug");
    assert!(
        spec["initContainers"].is_null() && spec["ephemeralContainers"][0]["env"].is_null(),
        "{spec}"
    );
    api.delete("app", &DeleteParams::default().grace_period(0)).await.unwrap();
    cluster.finish(vec![namespace]).await;
}

#[tokio::test]
async fn a_thousand_selectors_are_within_the_cost_limit_of_an_admission_policy() {
    let cluster = Cluster::connect().await;
    let selectors: Vec<Value> = (0..1000)
        .map(|i| {
            json!({
                "matchLabels": { "team": "x", "app": format!("chat-{i}") },
                "matchExpressions": [
                    { "key": "tier", "operator": "NotIn", "values": ["canary", "test"] },
                    { "key": "region", "operator": "Exists" }
                ]
            })
        })
        .collect();
    let namespace = cluster.guarded("thousand", &json!(selectors)).await;
    let last = json!({ "team": "x", "app": "chat-999", "region": "north" });
    cluster.assert_injected(&namespace, &labelled(&last), "the last one matches").await;
    cluster
        .assert_untouched(
            &namespace,
            &labelled(&json!({ "team": "x", "region": "north" })),
            "none of them matches",
        )
        .await;
    cluster.finish(vec![namespace]).await;
}

#[tokio::test]
async fn a_very_large_pod_is_injected() {
    let cluster = Cluster::connect().await;
    let namespace = cluster.guarded("large", &json!([{}])).await;
    let env: Vec<Value> =
        (0..100).map(|i| json!({ "name": format!("VARIABLE_{i}"), "value": "x" })).collect();
    let containers: Vec<Value> =
        (0..100).map(|i| json!({ "name": format!("c{i}"), "image": "app", "env": env })).collect();
    let volumes: Vec<Value> =
        (0..500).map(|i| json!({ "name": format!("v{i}"), "emptyDir": {} })).collect();
    let spec = json!({ "containers": containers, "volumes": volumes });
    let pod = json!({ "metadata": { "name": "large" }, "spec": spec });
    cluster
        .assert_injected(&namespace, &pod, "a hundred containers with a hundred variables each")
        .await;
    cluster.finish(vec![namespace]).await;
}
