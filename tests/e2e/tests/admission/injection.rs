//! Which pods are injected, and what they get.

use crate::cluster::{Cluster, cases, injected_by_hand, labelled, list};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use personaguard_api::{PersonaInjection, names};
use personaguard_e2e::{fixture, wait};
use serde_json::{Value, json};

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

/// A sidecar before the init container that fetches its weights would wait for ever.
#[tokio::test]
async fn a_sidecar_comes_after_the_init_containers_that_fill_its_claim() {
    let cluster = Cluster::connect().await;
    let namespace = cluster.namespace("claim", &json!({})).await;
    let mut spec = cluster.injection.clone();
    spec["selectors"] = json!([{}]);
    let volumes = spec["volumes"].as_array_mut().unwrap();
    let model = volumes.iter_mut().find(|it| it["name"] == "personaguard-model").unwrap();
    *model = json!({ "name": "personaguard-model",
        "persistentVolumeClaim": { "claimName": "models", "readOnly": true } });
    let spec = cluster.write(&namespace, "case", spec).await;
    cluster.settle(&namespace).await;
    let init = |name: &str, volume: &str, more: Value| {
        let mut container = json!({ "name": name, "image": "app",
            "volumeMounts": [{ "name": volume, "mountPath": "/models" }] });
        container.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        container
    };
    let reads = json!({ "volumeMounts":
        [{ "name": "weights", "mountPath": "/models", "readOnly": true }] });
    for (what, before, after) in [
        ("it fetches the weights", vec![init("fetch", "weights", json!({}))], vec![]),
        (
            "with one that comes before, and one that comes later",
            vec![init("migrate", "data", json!({})), init("fetch", "weights", json!({}))],
            vec![init("later", "data", json!({}))],
        ),
        ("it only reads", vec![], vec![init("read", "weights", reads)]),
        (
            "it runs on",
            vec![],
            vec![init("serve", "weights", json!({ "restartPolicy": "Always" }))],
        ),
        ("another claim", vec![], vec![init("fetch", "data", json!({}))]),
    ] {
        let mut pod = labelled(&json!({}));
        pod["spec"]["volumes"] = json!([
            { "name": "weights", "persistentVolumeClaim": { "claimName": "models" } },
            { "name": "data", "persistentVolumeClaim": { "claimName": "data" } },
        ]);
        pod["spec"]["initContainers"] = json!([before.clone(), after].concat());
        let expected =
            cluster.dry_run(&cluster.control, &injected_by_hand(&pod, &spec)).await.unwrap();
        let seen = cluster.dry_run(&namespace, &pod).await.unwrap();
        assert_eq!(seen, expected, "{what}");
        let sidecar = &seen["spec"]["initContainers"][before.len()];
        assert_eq!(sidecar["name"], names::CONTAINER, "{what}");
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
        |namespace: &str| Api::<PersonaInjection>::namespaced(cluster.operator.clone(), namespace);
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
