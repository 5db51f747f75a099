//! The Jobs of a screening: one that screens, each pod a part of the data, and one that ranks the
//! parts together. Pure.

use crate::objects::job_engine::JobEngine;
use crate::objects::pod_parts::{job_security_context, pull_secrets, restricted_security_context};
use crate::settings::Settings;
use k8s_openapi::api::batch::v1::Job;
use kube::{Resource as _, ResourceExt as _};
use personaguard_api::{DatasetScreen, names};
use serde_json::{Value, json};

/// How often a failed pod is retried.
const RETRIES: u32 = 3;
/// Pods of an Indexed Job that run in parallel.
const MAX_PARALLEL: u32 = 16;
/// The kubelet replaces it with the pod's completion index.
const INDEX: &str = "$(JOB_COMPLETION_INDEX)";

/// Names of volumes, and where they are mounted.
const VECTORS: &str = "vectors";
const DATA: &str = "data";
const VECTORS_DIR: &str = "/vectors";
const DATA_DIR: &str = "/data";
/// Kubernetes reads a container's termination message here.
const TERMINATION_MESSAGE: &str = "/dev/termination-log";

/// The Job that screens the parts.
pub(super) fn screen(
    settings: &Settings,
    screen: &DatasetScreen,
    engine: &JobEngine<'_>,
) -> serde_json::Result<Job> {
    let spec = &screen.spec;
    let vectors = json!({ "name": names::for_screen(&screen.name_any()) });
    let volumes = json!([{ "name": VECTORS, "configMap": vectors }, data_volume(screen)]);
    let mounts = json!([
        { "name": VECTORS, "mountPath": VECTORS_DIR, "readOnly": true },
        { "name": DATA, "mountPath": DATA_DIR }
    ]);
    let container = container(settings, &screen_arguments(screen), &mounts);
    let mut job =
        job(settings, screen, &names::for_screen(&screen.name_any()), &container, &volumes);
    engine.join(settings, spec.resources.as_ref(), &mut job["spec"]["template"]["spec"]);
    job["spec"]["completionMode"] = json!("Indexed");
    job["spec"]["completions"] = json!(spec.shards);
    job["spec"]["parallelism"] = json!(spec.shards.min(MAX_PARALLEL));
    serde_json::from_value(job)
}

fn screen_arguments(screen: &DatasetScreen) -> Vec<String> {
    let spec = &screen.spec;
    let mut arguments = vec!["screen".to_owned(), format!("{DATA_DIR}/{}", spec.dataset.path)];
    let mut option = |name: &str, value: String| arguments.push(format!("--{name}={value}"));
    for vector in &spec.vectors {
        option("vectors", format!("{VECTORS_DIR}/{vector}.safetensors"));
    }
    option("shard", format!("{INDEX}/{}", spec.shards));
    option("out", part(spec.output.as_str(), INDEX));
    option("reference", spec.reference.argument().to_owned());
    option("tokens", spec.tokens.to_string());
    if spec.skip_invalid {
        option("skipped-to", TERMINATION_MESSAGE.to_owned());
        arguments.push("--skip-invalid".to_owned());
    }
    if spec.contrast {
        arguments.push("--contrast".to_owned());
    }
    arguments
}

/// The Job that ranks the parts together.
pub(super) fn merge(settings: &Settings, screen: &DatasetScreen) -> serde_json::Result<Job> {
    let output = &screen.spec.output;
    let mut arguments = vec!["merge-ranks".to_owned()];
    arguments.extend((0..screen.spec.shards).map(|index| part(output, &index.to_string())));
    arguments.push(format!("--out={DATA_DIR}/{output}"));
    arguments.push(format!("--report={DATA_DIR}/{output}.html"));
    arguments.push(format!("--count-to={TERMINATION_MESSAGE}"));
    arguments.push("--consume".to_owned());
    let mounts = json!([{ "name": DATA, "mountPath": DATA_DIR }]);
    let container = container(settings, &arguments, &mounts);
    let volumes = json!([data_volume(screen)]);
    serde_json::from_value(job(settings, screen, &merge_name(screen), &container, &volumes))
}

pub(super) fn merge_name(screen: &DatasetScreen) -> String {
    format!("{}-merge", names::for_screen(&screen.name_any()))
}

/// The file with the ranks of one part.
fn part(output: &str, index: &str) -> String {
    format!("{DATA_DIR}/{output}.part-{index}")
}

fn data_volume(screen: &DatasetScreen) -> Value {
    let claim = &screen.spec.dataset.claim_name;
    json!({ "name": DATA, "persistentVolumeClaim": { "claimName": claim } })
}

fn container(settings: &Settings, arguments: &[String], mounts: &Value) -> Value {
    json!({
        "name": "screen",
        "image": settings.sidecar_image,
        "imagePullPolicy": settings.sidecar_image_pull_policy.as_str(),
        "args": arguments,
        "securityContext": restricted_security_context(settings.run_as_user.0),
        "terminationMessagePath": TERMINATION_MESSAGE,
        "volumeMounts": mounts
    })
}

fn job(
    settings: &Settings,
    screen: &DatasetScreen,
    name: &str,
    container: &Value,
    volumes: &Value,
) -> Value {
    let labels = json!({
        names::SCREEN_LABEL: screen.name_any(),
        "app.kubernetes.io/name": "personaguard-screen",
        names::MANAGED_BY_LABEL: names::FIELD_MANAGER,
        // A policy may select its pods, but they are no chat service.
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
                    "securityContext": job_security_context(settings.run_as_user.0),
                    "imagePullSecrets": pull_secrets(&settings.sidecar_image_pull_secrets),
                    "containers": [container],
                    "volumes": volumes
                }
            }
        }
    })
}

#[cfg(test)]
mod tests;
