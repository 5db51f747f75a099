//! The Job that extracts a vector. Pure.

use crate::pod_parts::{confined, resources, token, weights};
use crate::settings::Settings;
use k8s_openapi::api::batch::v1::Job;
use kube::{Resource as _, ResourceExt as _};
use personaguard_crds::{Digest, PersonaModel, PersonaVector, names};
use personaguard_persona::TraitSpec;
use serde_json::json;

/// Attempts of a Job's pod, over the first.
const RETRIES: u32 = 3;
/// Seconds for which a Job that has ended is kept, for its log.
const KEPT_SECONDS: u32 = 24 * 3600;

const MODEL: &str = "model";
const WORK: &str = "work";
const TOKEN: &str = "token";
const CA: &str = "ca";
const WORK_DIR: &str = "/work";
const CA_DIR: &str = "/etc/personaguard/ca";

pub(super) fn build(
    settings: &Settings,
    authorities: &str,
    vector: &PersonaVector,
    model: &PersonaModel,
    digest: &Digest,
) -> serde_json::Result<Job> {
    let name = vector.name_any();
    let labels = json!({
        names::VECTOR_LABEL: name,
        "app.kubernetes.io/name": "personaguard-extract",
        "app.kubernetes.io/managed-by": names::FIELD_MANAGER
    });
    let extraction = vector.spec.extraction.clone().unwrap_or_default();
    serde_json::from_value(json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": names::for_extraction(&name),
            "namespace": settings.place.namespace,
            "labels": labels,
            "annotations": { names::EXTRACTION_ANNOTATION: digest },
            "ownerReferences": [vector.owner_ref(&())]
        },
        "spec": {
            "backoffLimit": RETRIES,
            "ttlSecondsAfterFinished": KEPT_SECONDS,
            "template": {
                "metadata": {
                    "labels": labels,
                    "annotations": { names::EXTRACTION_ANNOTATION: digest, names::CA_ANNOTATION: authorities }
                },
                "spec": {
                    // A container that ended early is started again beside its journal, and goes on from there.
                    "restartPolicy": "OnFailure",
                    "automountServiceAccountToken": false,
                    "enableServiceLinks": false,
                    "containers": [{
                        "name": "extract",
                        "image": settings.sidecar_image,
                        "imagePullPolicy": settings.sidecar_image_pull_policy.as_str(),
                        "args": arguments(settings, vector, model),
                        "resources": resources(&model.spec.runtime, extraction.resources.as_ref()),
                        "securityContext": confined(),
                        "volumeMounts": [
                            { "name": MODEL, "mountPath": names::MODEL_DIR, "readOnly": true },
                            { "name": TOKEN, "mountPath": names::TOKEN_DIR, "readOnly": true },
                            { "name": CA, "mountPath": CA_DIR, "readOnly": true },
                            { "name": WORK, "mountPath": WORK_DIR }
                        ]
                    }],
                    "volumes": [
                        weights(MODEL, &model.spec.source),
                        token(TOKEN),
                        { "name": CA, "downwardAPI": { "items": [{
                            "path": names::CA_FILE,
                            "fieldRef": { "fieldPath": format!("metadata.annotations['{}']", names::CA_ANNOTATION) }
                        }] } },
                        { "name": WORK, "emptyDir": { "sizeLimit": "1Gi" } }
                    ]
                }
            }
        }
    }))
}

fn arguments(settings: &Settings, vector: &PersonaVector, model: &PersonaModel) -> Vec<String> {
    let spec = &vector.spec;
    let extraction = spec.extraction.clone().unwrap_or_default();
    let mut arguments = vec!["extract".to_owned()];
    let mut give = |name: &str, value: String| arguments.push(format!("--{name}={value}"));
    give("model", format!("{}/{}", names::MODEL_DIR, model.spec.source.path()));
    give("trait", spec.trait_name.clone());
    if let Some(description) = spec.description.as_ref().filter(|_| TraitSpec::builtin(&spec.trait_name).is_err()) {
        give("description", description.clone());
    }
    give("tokens", extraction.tokens.to_string());
    give("questions", extraction.questions.to_string());
    give("rollouts", extraction.rollouts.to_string());
    give("seed", extraction.seed.to_string());
    give("out", format!("{WORK_DIR}/{}", names::VECTOR_KEY));
    give("deliver-to", format!("https://{}:{}", settings.report_host(), names::REPORT_PORT));
    give("token-file", format!("{}/token", names::TOKEN_DIR));
    give("ca-file", format!("{CA_DIR}/{}", names::CA_FILE));
    arguments
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::fixtures;

    #[test]
    fn a_job_runs_the_command_confined_and_belongs_to_its_vector() {
        let settings = fixtures::settings(&[]);
        let mut vector: PersonaVector = serde_json::from_value(json!({
            "apiVersion": "personaguard.dev/v1alpha1", "kind": "PersonaVector",
            "metadata": { "name": "evil", "uid": "u1" },
            "spec": { "trait": "evil", "description": "evil: wishes harm", "model": "smollm2", "extraction": { "tokens": 32 } }
        }))
        .unwrap();
        let digest = Digest::of(b"d");
        let job = build(&settings, "PEM", &vector, &fixtures::model(), &digest).unwrap();
        assert_eq!(job.metadata.owner_references.as_ref().unwrap()[0].uid, "u1");
        let pod = job.spec.unwrap().template;
        assert_eq!(pod.metadata.unwrap().annotations.unwrap()[names::CA_ANNOTATION], "PEM");
        let spec = pod.spec.unwrap();
        let container = &spec.containers[0];
        let arguments = container.args.as_ref().unwrap();
        assert!(arguments.contains(&"--tokens=32".to_owned()), "{arguments:?}");
        assert!(
            !arguments.iter().any(|argument| argument.starts_with("--description")),
            "a built-in trait has its own"
        );
        let confined = container.security_context.as_ref().unwrap();
        assert_eq!(confined.run_as_non_root, Some(true));
        assert_eq!(confined.read_only_root_filesystem, Some(true));
        vector.spec.trait_name = "pompous".into();
        let arguments = super::arguments(&settings, &vector, &fixtures::model());
        assert!(arguments.contains(&"--description=evil: wishes harm".to_owned()), "{arguments:?}");
    }
}
