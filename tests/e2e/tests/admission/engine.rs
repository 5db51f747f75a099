//! Placement Engine: vLLM's container is given the plugin, in the same mutation as the sidecar.

use crate::cluster::{Cluster, cases, injected_by_hand, labelled, list};
use personaguard_e2e::{fixture, wait};
use serde_json::{Value, json};

/// What the operator writes for a model with engine Vllm: no weights, but a shared volume.
fn injection(cluster: &Cluster) -> Value {
    let mut spec = cluster.injection.clone();
    (spec["selectors"], spec["takeover"], spec["env"]) = (json!([{}]), json!("http"), json!([]));
    spec["server"] = cases("engine.yaml")["server"].clone();
    let container = &mut spec["container"];
    push(
        &mut container["ports"],
        json!({ "name": "http", "containerPort": 8790, "protocol": "TCP" }),
    );
    *named(&mut container["volumeMounts"], "personaguard-model") =
        json!({ "name": "personaguard-engine", "mountPath": "/run/personaguard" });
    *named(&mut spec["volumes"], "personaguard-model") =
        json!({ "name": "personaguard-engine", "emptyDir": { "sizeLimit": "16Mi" } });
    spec
}

fn push(list: &mut Value, item: Value) {
    list.as_array_mut().unwrap().push(item);
}

fn named<'a>(list: &'a mut Value, name: &str) -> &'a mut Value {
    list.as_array_mut().unwrap().iter_mut().find(|it| it["name"] == name).unwrap()
}

/// The pod as it should become, with containers that were changed by hand.
fn expected(pod: &Value, containers: &Value, port: u64, spec: &Value) -> Value {
    let (mut pod, mut spec) = (pod.clone(), spec.clone());
    pod["spec"]["containers"] = containers.clone();
    let url = format!("http://127.0.0.1:{port}");
    push(&mut spec["container"]["env"], json!({ "name": "PERSONAGUARD_UPSTREAM", "value": url }));
    injected_by_hand(&pod, &spec)
}

#[tokio::test]
async fn placement_engine_has_vllm_load_the_plugin_or_leaves_the_pod_alone() {
    let cluster = Cluster::connect().await;
    let namespace = cluster.namespace("engine", &json!({})).await;
    let spec = cluster.write(&namespace, "case", injection(&cluster)).await;
    cluster.settle(&namespace).await;
    for case in list(&cases("engine.yaml")["cases"]) {
        let (name, pod) = (case["name"].as_str().unwrap(), &case["pod"]);
        let Some(port) = case["upstream"].as_u64() else {
            cluster.assert_untouched(&namespace, pod, name).await;
            continue;
        };
        let expected = expected(pod, &case["containers"], port, &spec);
        let expected = cluster.dry_run(&cluster.control, &expected).await.unwrap();
        let injected = cluster.dry_run(&namespace, pod).await.unwrap();
        assert_eq!(injected, expected, "{name}");
        // As a later webhook's change has it looked at once more.
        let again = cluster.dry_run(&namespace, &injected).await.unwrap();
        assert_eq!(again, injected, "{name}, once more");
    }
    cluster.finish(vec![namespace]).await;
}

#[tokio::test]
async fn a_very_large_pod_is_given_the_plugin() {
    let cluster = Cluster::connect().await;
    let namespace = cluster.namespace("engine-large", &json!({})).await;
    let spec = cluster.write(&namespace, "case", injection(&cluster)).await;
    cluster.settle(&namespace).await;
    let variables = (0..100).map(|i| json!({ "name": format!("VARIABLE_{i}"), "value": "x" }));
    let own: Vec<Value> = variables.collect();
    let mounts = (0..100).map(|i| json!({ "name": "v", "mountPath": format!("/m{i}") }));
    let own_mounts: Vec<Value> = mounts.collect();
    let server = &spec["server"];
    let path = json!({ "name": "PYTHONPATH", "value": "/run/personaguard/plugin" });
    let env = [list(&server["env"]), &[path], &own].concat();
    let given = [&own_mounts, list(&server["volumeMounts"])].concat();
    let container = |i: usize, port: Value, env: &[Value], mounts: &[Value]| {
        json!({
            "name": format!("c{i}"), "image": "app", "ports": [port], "env": env,
            "volumeMounts": mounts
        })
    };
    let named_port = || json!({ "name": "http", "containerPort": 8000 });
    let bare_port = || json!({ "containerPort": 8000 });
    let before: Vec<_> = (0..50).map(|i| container(i, named_port(), &own, &own_mounts)).collect();
    let after: Vec<_> = (0..50).map(|i| container(i, bare_port(), &env, &given)).collect();
    let volumes = json!([{ "name": "v", "emptyDir": {} }]);
    let pod = json!({
        "metadata": { "name": "large" }, "spec": { "containers": before, "volumes": volumes }
    });
    let expected = expected(&pod, &json!(after), 8000, &spec);
    let expected = cluster.dry_run(&cluster.control, &expected).await.unwrap();
    assert!(cluster.dry_run(&namespace, &pod).await.unwrap() == expected, "it differs");
    cluster.finish(vec![namespace]).await;
}

#[tokio::test]
async fn invariant_9_a_pod_of_a_closed_policy_that_cannot_be_given_the_plugin_does_not_start() {
    let cluster = Cluster::connect().await;
    let namespace = cluster.namespace("engine-closed", &json!({})).await;
    let mut spec = injection(&cluster);
    let chat = json!([{ "matchLabels": { "app": "chat" } }]);
    (spec["selectors"], spec["closedSelectors"]) = (chat.clone(), chat);
    cluster.write(&namespace, "closed", spec).await;
    cluster.settle(&namespace).await;
    let mut pod = labelled(&json!({ "app": "chat" }));
    pod["spec"]["containers"][0]["ports"] = json!([{ "name": "http", "containerPort": 8000 }]);
    let mut own = pod.clone();
    let elsewhere = json!({ "configMapKeyRef": { "name": "paths", "key": "python" } });
    own["spec"]["containers"][0]["env"] = json!([{ "name": "PYTHONPATH", "valueFrom": elsewhere }]);
    let (refusal, _) =
        wait::until("a pod that cannot be given it to be refused", fixture::PATIENCE, || async {
            Ok(cluster.dry_run(&namespace, &own).await.err())
        })
        .await
        .unwrap();
    for mentioned in ["cannot be given the plugin", "/run/personaguard", "PYTHONPATH"] {
        assert!(refusal.contains(mentioned), "{mentioned}: {refusal}");
    }
    let injected = cluster.dry_run(&namespace, &pod).await;
    assert!(injected.is_ok(), "{injected:?}");
    cluster.finish(vec![namespace]).await;
}
