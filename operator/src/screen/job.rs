//! The Jobs of a screening: one that screens, each pod a part of the data, and one that ranks the
//! parts together. Pure.

use crate::pod_parts::{USER, confined, resources, weights};
use crate::settings::Settings;
use k8s_openapi::api::batch::v1::Job;
use kube::{Resource as _, ResourceExt as _};
use personaguard_api::{DatasetScreen, PersonaModel, names};
use serde_json::{Value, json};

/// Attempts of each pod, over the first.
const RETRIES: u32 = 3;
/// Pods of an Indexed Job that run at the same time.
const MAX_PARALLEL: u32 = 16;

const MODEL: &str = "model";
const VECTORS: &str = "vectors";
const DATA: &str = "data";
const VECTORS_DIR: &str = "/vectors";
const DATA_DIR: &str = "/data";
/// Where Kubernetes reads what a container said at its end.
const LAST_WORDS: &str = "/dev/termination-log";

pub(super) fn screen(
    settings: &Settings,
    screen: &DatasetScreen,
    model: &PersonaModel,
) -> serde_json::Result<Job> {
    let spec = &screen.spec;
    let mut arguments = vec!["screen".to_owned(), format!("{DATA_DIR}/{}", spec.dataset.path)];
    let mut give = |name: &str, value: String| arguments.push(format!("--{name}={value}"));
    give("model", format!("{}/{}", names::MODEL_DIR, model.spec.source.path()));
    for vector in &spec.vectors {
        give("vectors", format!("{VECTORS_DIR}/{vector}.safetensors"));
    }
    // The kubelet fills the index in.
    give("shard", format!("$(JOB_COMPLETION_INDEX)/{}", spec.shards));
    give("out", part(spec.output.as_str(), "$(JOB_COMPLETION_INDEX)"));
    give("reference", spec.reference.argument().to_owned());
    give("tokens", spec.tokens.to_string());
    if spec.contrast {
        arguments.push("--contrast".to_owned());
    }
    let volumes = json!([
        weights(MODEL, &model.spec.source),
        { "name": VECTORS, "configMap": { "name": names::for_screen(&screen.name_any()) } },
        data(screen)
    ]);
    let mounts = json!([
        { "name": MODEL, "mountPath": names::MODEL_DIR, "readOnly": true },
        { "name": VECTORS, "mountPath": VECTORS_DIR, "readOnly": true },
        { "name": DATA, "mountPath": DATA_DIR }
    ]);
    let container = container(
        settings,
        &arguments,
        resources(&model.spec.runtime, spec.resources.as_ref()),
        &mounts,
    );
    let mut job = job(screen, &names::for_screen(&screen.name_any()), &container, &volumes);
    job["spec"]["completionMode"] = json!("Indexed");
    job["spec"]["completions"] = json!(spec.shards);
    job["spec"]["parallelism"] = json!(spec.shards.min(MAX_PARALLEL));
    serde_json::from_value(job)
}

pub(super) fn merge(settings: &Settings, screen: &DatasetScreen) -> serde_json::Result<Job> {
    let output = &screen.spec.output;
    let mut arguments = vec!["merge-ranks".to_owned()];
    arguments.extend((0..screen.spec.shards).map(|index| part(output, &index.to_string())));
    arguments.push(format!("--out={DATA_DIR}/{output}"));
    arguments.push(format!("--report={DATA_DIR}/{output}.html"));
    arguments.push(format!("--count-to={LAST_WORDS}"));
    arguments.push("--consume".to_owned());
    let mounts = json!([{ "name": DATA, "mountPath": DATA_DIR }]);
    let container = container(settings, &arguments, json!({}), &mounts);
    let name = format!("{}-merge", names::for_screen(&screen.name_any()));
    serde_json::from_value(job(screen, &name, &container, &json!([data(screen)])))
}

/// File of one part's ranks.
fn part(output: &str, index: &str) -> String {
    format!("{DATA_DIR}/{output}.part-{index}")
}

fn data(screen: &DatasetScreen) -> Value {
    json!({ "name": DATA, "persistentVolumeClaim": { "claimName": screen.spec.dataset.claim_name } })
}

#[allow(clippy::needless_pass_by_value, reason = "every caller makes it on the spot")]
fn container(settings: &Settings, arguments: &[String], resources: Value, mounts: &Value) -> Value {
    json!({
        "name": "screen",
        "image": settings.sidecar_image,
        "imagePullPolicy": settings.sidecar_image_pull_policy.as_str(),
        "args": arguments,
        "resources": resources,
        "securityContext": confined(),
        "terminationMessagePath": LAST_WORDS,
        "volumeMounts": mounts
    })
}

fn job(screen: &DatasetScreen, name: &str, container: &Value, volumes: &Value) -> Value {
    let labels = json!({
        names::SCREEN_LABEL: screen.name_any(),
        "app.kubernetes.io/name": "personaguard-screen",
        "app.kubernetes.io/managed-by": names::FIELD_MANAGER,
        // It is no chat service.
        names::INJECT: "false"
    });
    json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": name,
            "namespace": screen.namespace(),
            "labels": labels,
            "ownerReferences": [screen.owner_ref(&())]
        },
        "spec": {
            "backoffLimit": RETRIES,
            "template": {
                "metadata": { "labels": labels },
                "spec": {
                    "restartPolicy": "Never",
                    "automountServiceAccountToken": false,
                    "enableServiceLinks": false,
                    "securityContext": { "fsGroup": USER, "fsGroupChangePolicy": "OnRootMismatch" },
                    "containers": [container],
                    "volumes": volumes
                }
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::fixtures;

    fn of_three() -> DatasetScreen {
        serde_json::from_value(json!({
            "apiVersion": personaguard_api::API_VERSION, "kind": "DatasetScreen",
            "metadata": { "name": "chats", "namespace": "training", "uid": "u1" },
            "spec": {
                "model": "smollm2", "vectors": ["evil", "rude"], "shards": 3, "contrast": true, "output": "out/ranks.jsonl",
                "dataset": { "claimName": "data", "path": "chats.jsonl" }
            }
        }))
        .unwrap()
    }

    #[test]
    fn each_pod_screens_its_part_and_the_parts_are_ranked_together() {
        let settings = fixtures::settings(&[]);
        let first = screen(&settings, &of_three(), &fixtures::model()).unwrap();
        assert_eq!(first.metadata.owner_references.as_ref().unwrap()[0].uid, "u1");
        let spec = first.spec.unwrap();
        assert_eq!((spec.completions, spec.completion_mode.as_deref()), (Some(3), Some("Indexed")));
        let pod = spec.template.spec.unwrap();
        let arguments = pod.containers[0].args.clone().unwrap();
        for argument in [
            "/data/chats.jsonl",
            "--shard=$(JOB_COMPLETION_INDEX)/3",
            "--out=/data/out/ranks.jsonl.part-$(JOB_COMPLETION_INDEX)",
            "--vectors=/vectors/rude.safetensors",
            "--contrast",
        ] {
            assert!(
                arguments.iter().any(|known| known == argument),
                "{argument} is not in {arguments:?}"
            );
        }
        let mut plain = of_three();
        plain.spec.contrast = false;
        let plain = screen(&settings, &plain, &fixtures::model())
            .unwrap()
            .spec
            .unwrap()
            .template
            .spec
            .unwrap();
        assert!(!plain.containers[0].args.clone().unwrap().contains(&"--contrast".to_owned()));
        let second = merge(&settings, &of_three()).unwrap();
        let arguments =
            second.spec.unwrap().template.spec.unwrap().containers[0].args.clone().unwrap();
        assert!(
            arguments.iter().any(|argument| argument == "/data/out/ranks.jsonl.part-2"),
            "{arguments:?}"
        );
        assert!(
            arguments.iter().any(|argument| argument == "--out=/data/out/ranks.jsonl"),
            "{arguments:?}"
        );
    }
}
