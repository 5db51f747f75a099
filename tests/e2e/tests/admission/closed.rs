//! What a policy with `failurePolicy: Closed` keeps from running.

use crate::cluster::{Cluster, injected_by_hand, labelled};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::GroupVersionKind;
use kube::discovery::pinned_kind;
use personaguard_api::names;
use personaguard_e2e::{fixture, wait};
use serde_json::{Value, json};

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

/// What the operator writes for a policy whose model does not exist.
#[tokio::test]
async fn invariant_9_a_pod_of_a_closed_policy_does_not_start_before_anything_can_be_injected() {
    let cluster = Cluster::connect().await;
    let namespace = cluster.namespace("early", &json!({})).await;
    let mut spec = cluster.injection.clone();
    let chat = json!([{ "matchLabels": { "app": "chat" } }]);
    (spec["selectors"], spec["closedSelectors"]) = (json!([]), chat);
    for field in ["container", "volumes", "env"] {
        spec.as_object_mut().unwrap().remove(field);
    }
    cluster.write(&namespace, "closed", spec.clone()).await;
    let mut with_init = labelled(&json!({ "app": "chat" }));
    with_init["spec"]["initContainers"] = json!([{ "name": names::CONTAINER, "image": "mine" }]);
    for pod in [labelled(&json!({ "app": "chat" })), with_init] {
        let (refusal, _) =
            wait::until("a pod without a sidecar to be refused", fixture::PATIENCE, || async {
                Ok(cluster.dry_run(&namespace, &pod).await.err())
            })
            .await
            .unwrap();
        assert!(refusal.contains("kubectl get personapolicies"), "{refusal}");
    }
    let other = labelled(&json!({ "app": "other" }));
    cluster.assert_untouched(&namespace, &other, "a pod that no such policy selects").await;
    // A selector that would inject nothing is a mistake.
    spec["selectors"] = json!([{}]);
    let refusal = cluster.try_write(&namespace, "selecting", &spec).await.unwrap_err();
    assert!(refusal.contains("there is nothing to inject"), "{refusal}");
    cluster.finish(vec![namespace]).await;
}

/// A namespace in which a Closed policy selects `app: chat`.
async fn closed(cluster: &Cluster, name: &str) -> String {
    let namespace = cluster.namespace(name, &json!({})).await;
    let mut spec = cluster.injection.clone();
    let chat = json!([{ "matchLabels": { "app": "chat" } }]);
    (spec["selectors"], spec["closedSelectors"]) = (chat.clone(), chat);
    cluster.write(&namespace, "closed", spec).await;
    cluster.settle(&namespace).await;
    let mut pod = labelled(&json!({ "app": "chat" }));
    pod["spec"]["hostNetwork"] = json!(true);
    wait::until("a pod without a sidecar to be refused", fixture::PATIENCE, || async {
        Ok(cluster.dry_run(&namespace, &pod).await.err())
    })
    .await
    .unwrap();
    namespace
}

/// Changes of the injected container and its volumes.
type Edit = (&'static str, fn(&mut Value, &mut Value));

/// What others may do with an injected sidecar: mirrors, autoscalers, identity webhooks.
const OTHERS_OWN: &[Edit] = &[
    ("resources", |it, _| it["resources"] = json!({ "requests": { "cpu": "1m" } })),
    ("a user id", |it, _| it["securityContext"]["runAsUser"] = json!(1000)),
    ("a pull policy", |it, _| it["imagePullPolicy"] = json!("Always")),
    ("a variable", |it, _| push(&mut it["env"], json!({ "name": "AWS_REGION", "value": "x" }))),
    ("a proxy", |it, _| push(&mut it["env"], json!({ "name": "HTTPS_PROXY", "value": "x" }))),
    ("certificates", |it, volumes| mount(it, volumes, "/etc/ssl/certs")),
    ("a mount", |it, volumes| {
        push(
            &mut it["volumeMounts"],
            json!({ "name": "aws", "mountPath": "/var/run/secrets/aws" }),
        );
        push(volumes, json!({ "name": "aws", "emptyDir": {} }));
    }),
];

/// What makes it something else.
const SPOOFS: &[Edit] = &[
    ("arguments", |it, _| it["args"] = json!(["serve", "--config=/mine"])),
    ("another command of the program", |it, _| it["args"] = json!(["bench"])),
    ("no arguments", |it, _| it["args"] = json!([])),
    ("a command", |it, _| it["command"] = json!(["sleep", "infinity"])),
    ("a working directory", |it, _| it["workingDir"] = json!("/mine")),
    ("the config elsewhere", |it, _| it["env"][0]["value"] = json!("/mine")),
    ("the config elsewhere, said twice", |it, _| {
        push(&mut it["env"], json!({ "name": "PERSONAGUARD_CONFIG", "value": "/mine" }));
    }),
    ("another variable of ours", |it, _| {
        push(&mut it["env"], json!({ "name": "PERSONAGUARD_POD_LABELS", "value": "/mine" }));
    }),
    ("an upstream", |it, _| {
        let upstream = json!({ "name": "PERSONAGUARD_UPSTREAM", "value": "http://127.0.0.1:1" });
        push(&mut it["env"], upstream);
    }),
    ("variables from elsewhere", |it, _| {
        it["envFrom"] = json!([{ "configMapRef": { "name": "mine" } }]);
    }),
    ("no config", |it, _| drop(it["volumeMounts"].as_array_mut().unwrap().remove(0))),
    ("a part of the config", |it, _| it["volumeMounts"][0]["subPath"] = json!("mine")),
    ("a file over the config", |it, volumes| {
        let path = "/etc/personaguard/config/config.yaml";
        let mount = json!({ "name": "mine", "mountPath": path, "subPath": "a" });
        push(&mut it["volumeMounts"], mount);
        push(volumes, json!({ "name": "mine", "emptyDir": {} }));
    }),
    ("a folder over ours", |it, volumes| {
        push(&mut it["volumeMounts"], json!({ "name": "mine", "mountPath": "/etc" }));
        push(volumes, json!({ "name": "mine", "emptyDir": {} }));
    }),
    ("a folder over the program", |it, volumes| {
        push(&mut it["volumeMounts"], json!({ "name": "mine", "mountPath": "/usr/local/bin" }));
        push(volumes, json!({ "name": "mine", "emptyDir": {} }));
    }),
    ("a folder over ours, by another name", |it, volumes| {
        mount(it, volumes, "//etc/personaguard/config");
    }),
    ("a folder over ours, on a detour", |it, volumes| {
        mount(it, volumes, "/var/../etc/personaguard/./config");
    }),
    ("a folder over ours, from nowhere", |it, volumes| {
        mount(it, volumes, "etc/personaguard/config");
    }),
    ("libraries", |it, volumes| mount(it, volumes, "/lib/x86_64-linux-gnu")),
    ("what is loaded before", |it, volumes| mount(it, volumes, "/etc/ld.so.preload")),
    ("a library to load before", |it, _| {
        push(&mut it["env"], json!({ "name": "LD_PRELOAD", "value": "/tmp/mine.so" }));
    }),
    ("libraries to look for first", |it, _| {
        push(&mut it["env"], json!({ "name": "LD_LIBRARY_PATH", "value": "/tmp" }));
    }),
    ("another ConfigMap", |_, volumes| volumes[0]["configMap"]["name"] = json!("mine")),
    ("some of the ConfigMap", |_, volumes| {
        volumes[0]["configMap"]["items"] = json!([{ "key": "mine", "path": "config.yaml" }]);
    }),
    ("no ConfigMap", |_, volumes| {
        volumes[0] = json!({ "name": "personaguard-config", "emptyDir": {} });
    }),
    ("other labels", |_, volumes| {
        let path = &mut volumes[1]["downwardAPI"]["items"][0]["fieldRef"]["fieldPath"];
        *path = json!("metadata.annotations");
    }),
    ("a hook", |it, _| {
        it["lifecycle"] = json!({ "postStart": { "exec": { "command": ["x"] } } });
    }),
];

/// Mounts a volume of the pod's author.
fn mount(container: &mut Value, volumes: &mut Value, path: &str) {
    push(&mut container["volumeMounts"], json!({ "name": "mine", "mountPath": path }));
    push(volumes, json!({ "name": "mine", "emptyDir": {} }));
}

fn push(list: &mut Value, item: Value) {
    list.as_array_mut().unwrap().push(item);
}

/// A pod that brings the sidecar itself, as it would be injected, but for an edit.
fn by_hand(cluster: &Cluster, edit: fn(&mut Value, &mut Value)) -> Value {
    let mut injection = cluster.injection.clone();
    let (mut container, mut volumes) = (injection["container"].take(), injection["volumes"].take());
    edit(&mut container, &mut volumes);
    (injection["container"], injection["volumes"]) = (container, volumes);
    injected_by_hand(&labelled(&json!({ "app": "chat" })), &injection)
}

#[tokio::test]
async fn issue_15_16_what_only_looks_like_the_sidecar_is_refused_and_what_others_add_is_not() {
    let cluster = Cluster::connect().await;
    let namespace = closed(&cluster, "spoof").await;
    for (what, edit) in SPOOFS {
        match cluster.dry_run(&namespace, &by_hand(&cluster, *edit)).await {
            Ok(pod) => panic!("{what}: admitted: {pod}"),
            Err(refusal) => assert!(refusal.contains("failurePolicy Closed"), "{what}: {refusal}"),
        }
    }
    for (what, edit) in OTHERS_OWN {
        let admitted = cluster.dry_run(&namespace, &by_hand(&cluster, *edit)).await;
        assert!(admitted.is_ok(), "{what}: {admitted:?}");
    }
    cluster.finish(vec![namespace]).await;
}

#[tokio::test]
async fn issue_15_16_a_copy_of_the_sidecar_runs_the_operators_image() {
    let cluster = Cluster::connect().await;
    let namespace = closed(&cluster, "copy").await;
    let copy = by_hand(&cluster, |it, _| it["image"] = json!("mine"));
    let pod = cluster.dry_run(&namespace, &copy).await.unwrap();
    let sidecar = &pod["spec"]["initContainers"][0];
    assert_eq!(sidecar["image"], cluster.injection["container"]["image"], "{sidecar}");
    cluster.finish(vec![namespace]).await;
}

#[tokio::test]
async fn issue_15_16_an_image_that_is_rewritten_after_the_injection_refuses_no_pod() {
    let cluster = Cluster::connect().await;
    let namespace = closed(&cluster, "mirror").await;
    let name = format!("zz-{namespace}");
    let expression = "object.spec.?initContainers.orValue([]).exists(c, \
                      !c.image.startsWith('mirror.example/')) ? \
                      [JSONPatch{op: 'replace', path: '/spec/initContainers/0/image', \
                      value: 'mirror.example/a@sha256:' + \
                      'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'}] : []";
    let rules = json!([{
        "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]
    }]);
    let selector = json!({ "matchLabels": { "kubernetes.io/metadata.name": namespace } });
    let policy = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingAdmissionPolicy",
        "metadata": { "name": name },
        "spec": {
            "failurePolicy": "Fail", "reinvocationPolicy": "IfNeeded",
            "matchConstraints": { "resourceRules": rules, "namespaceSelector": selector },
            "mutations": [{ "patchType": "JSONPatch", "jsonPatch": { "expression": expression } }]
        }
    });
    let binding = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingAdmissionPolicyBinding",
        "metadata": { "name": name }, "spec": { "policyName": name }
    });
    let mut written = Vec::new();
    for object in [policy, binding] {
        let object: DynamicObject = serde_json::from_value(object).unwrap();
        let kind = GroupVersionKind::try_from(object.types.as_ref().unwrap()).unwrap();
        let (resource, _) = pinned_kind(&cluster.client, &kind).await.unwrap();
        let api: Api<DynamicObject> = Api::all_with(cluster.client.clone(), &resource);
        api.create(&PostParams::default(), &object).await.unwrap();
        written.push(api);
    }
    // It is admitted before the mirror is seen, and afterwards.
    wait::until("the mirror's image in a pod", fixture::PATIENCE, || async {
        let pod = cluster.dry_run(&namespace, &labelled(&json!({ "app": "chat" }))).await;
        let pod = pod.map_err(anyhow::Error::msg)?;
        let image = pod["spec"]["initContainers"][0]["image"].as_str().unwrap_or_default();
        Ok(image.starts_with("mirror.example/").then_some(()))
    })
    .await
    .unwrap();
    for api in written {
        api.delete(&name, &DeleteParams::default()).await.unwrap();
    }
    cluster.finish(vec![namespace]).await;
}

#[tokio::test]
async fn issue_15_16_a_pod_that_exists_is_not_relabelled_into_a_closed_policy() {
    let cluster = Cluster::connect().await;
    let namespace = closed(&cluster, "relabel").await;
    let api: Api<Pod> = Api::namespaced(cluster.client.clone(), &namespace);
    let waiting = |name: &str, app: &str| {
        let mut pod = labelled(&json!({ "app": app }));
        pod["metadata"]["name"] = json!(name);
        // It is never scheduled, so its deletion takes effect at once.
        pod["spec"]["schedulingGates"] = json!([{ "name": "example.org/never" }]);
        pod["spec"]["automountServiceAccountToken"] = json!(false);
        pod["spec"]["serviceAccountName"] = json!("default");
        serde_json::from_value::<Pod>(pod).unwrap()
    };
    for (name, app) in [("without", "other"), ("with", "chat")] {
        let pod = waiting(name, app);
        wait::until("the namespace to have its ServiceAccount", fixture::PATIENCE, || async {
            Ok(Some(api.create(&PostParams::default(), &pod).await?))
        })
        .await
        .unwrap();
    }
    let label = async |pod: &str, app: &str| {
        let patch = Patch::Merge(json!({ "metadata": { "labels": { "app": app } } }));
        api.patch(pod, &PatchParams::default(), &patch).await.map(drop)
    };
    let refusal = label("without", "chat").await.unwrap_err().to_string();
    assert!(refusal.contains("create it anew"), "{refusal}");
    label("without", "another").await.unwrap();
    // One that has its sidecar may go and come back.
    label("with", "another").await.unwrap();
    label("with", "chat").await.unwrap();
    // And it keeps its sidecar's image; what else the pod runs is its own matter.
    let image = async |path: &str| {
        let operation = json!([{ "op": "replace", "path": path, "value": "mine" }]);
        let patch: Patch<()> = Patch::Json(serde_json::from_value(operation).unwrap());
        api.patch("with", &PatchParams::default(), &patch).await.map(drop)
    };
    let refusal = image("/spec/initContainers/0/image").await.unwrap_err().to_string();
    assert!(refusal.contains("the image of its sidecar"), "{refusal}");
    image("/spec/containers/0/image").await.unwrap();
    for pod in ["without", "with"] {
        api.delete(pod, &DeleteParams::default().grace_period(0)).await.unwrap();
    }
    cluster.finish(vec![namespace]).await;
}

#[tokio::test]
async fn issue_15_16_a_pod_for_windows_is_told_so() {
    let cluster = Cluster::connect().await;
    let namespace = closed(&cluster, "windows").await;
    let mut pod = labelled(&json!({ "app": "chat" }));
    pod["spec"]["nodeSelector"] = json!({ "kubernetes.io/os": "windows" });
    let refusal = cluster.dry_run(&namespace, &pod).await.unwrap_err();
    assert!(refusal.contains("it runs on Windows"), "{refusal}");
    cluster.finish(vec![namespace]).await;
}

/// In placement Proxy, with a copy of the sidecar that stands in front of nothing.
#[tokio::test]
async fn issue_15_16_a_copy_that_leaves_the_app_its_port_is_refused() {
    let cluster = Cluster::connect().await;
    let namespace = cluster.namespace("proxy", &json!({})).await;
    let mut spec = cluster.injection.clone();
    let chat = json!([{ "matchLabels": { "app": "chat" } }]);
    (spec["selectors"], spec["closedSelectors"]) = (chat.clone(), chat);
    (spec["takeover"], spec["env"]) = (json!("http"), json!([]));
    push(&mut spec["container"]["ports"], json!({ "name": "http", "containerPort": 8790 }));
    cluster.write(&namespace, "closed", spec.clone()).await;
    cluster.settle(&namespace).await;
    let port = |name: Option<&str>| match name {
        Some(name) => json!([{ "name": name, "containerPort": 8000 }]),
        None => json!([{ "containerPort": 8000 }]),
    };
    let pod = |name: Option<&str>| {
        let mut pod = labelled(&json!({ "app": "chat" }));
        pod["spec"]["containers"][0]["ports"] = port(name);
        pod
    };
    wait::until("a pod without the port to be refused", fixture::PATIENCE, || async {
        Ok(cluster.dry_run(&namespace, &pod(None)).await.err())
    })
    .await
    .unwrap();
    let injected = cluster.dry_run(&namespace, &pod(Some("http"))).await;
    assert!(injected.is_ok(), "{injected:?}");
    let copy = |name: Option<&str>, upstream: Option<&str>, hand: fn(&mut Value)| {
        let mut by_hand = spec.clone();
        if let Some(url) = upstream {
            let told = json!({ "name": names::UPSTREAM_ENV, "value": url });
            push(&mut by_hand["container"]["env"], told);
        }
        let mut pod = injected_by_hand(&pod(name), &by_hand);
        hand(&mut pod);
        pod
    };
    let right = Some("http://127.0.0.1:8000");
    let same = cluster.dry_run(&namespace, &copy(None, right, |_| {})).await;
    assert!(same.is_ok(), "as it would be injected: {same:?}");
    for (what, pod, mentioned) in [
        ("the app keeps its port", copy(Some("http"), right, |_| {}), "the port named http"),
        (
            "so does another sidecar before",
            copy(None, right, |pod| {
                let before = json!({ "name": "before", "image": "mine", "restartPolicy": "Always",
                "ports": [{ "name": "http", "containerPort": 1 }] });
                pod["spec"]["initContainers"].as_array_mut().unwrap().insert(0, before);
            }),
            "the port named http",
        ),
        (
            "on the node's network",
            copy(None, right, |pod| {
                pod["spec"]["hostNetwork"] = json!(true);
            }),
            "the node's network",
        ),
        ("in front of nothing", copy(None, None, |_| {}), "not as it was injected"),
        (
            "in front of another host",
            copy(None, Some("http://127.0.0.1:8000@example.org"), |_| {}),
            "not as it was injected",
        ),
    ] {
        match cluster.dry_run(&namespace, &pod).await {
            Ok(pod) => panic!("{what}: admitted: {pod}"),
            Err(refusal) => assert!(refusal.contains(mentioned), "{what}: {refusal}"),
        }
    }
    cluster.finish(vec![namespace]).await;
}
