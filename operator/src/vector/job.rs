//! The Jobs that extract a vector: one that gives the answers, each pod a part of them, and where
//! there are several, one that makes the vector from the parts. Pure.

use crate::pod_parts::{USER, confined, resources, token, weights};
use crate::settings::Settings;
use k8s_openapi::api::batch::v1::Job;
use kube::{Resource as _, ResourceExt as _};
use personaguard_api::{Digest, Extraction, PersonaModel, PersonaVector, names};
use personaguard_persona::TraitSpec;
use serde_json::{Value, json};

/// Attempts of each pod, over the first.
const RETRIES: u32 = 3;
/// Pods of an Indexed Job that run at the same time.
const MAX_PARALLEL: u32 = 16;
/// Seconds for which a Job that has ended is kept, for its log.
const KEPT_SECONDS: u32 = 24 * 3600;

const MODEL: &str = "model";
const WORK: &str = "work";
const TOKEN: &str = "token";
const CA: &str = "ca";
const WORK_DIR: &str = "/work";
const CA_DIR: &str = "/etc/personaguard/ca";
/// Where `personaguard extract` looks for the endpoint's key.
const ENDPOINT_KEY: &str = "PERSONAGUARD_ENDPOINT_KEY";

/// What the Jobs are made from.
pub(super) struct Plan<'a> {
    pub(super) settings: &'a Settings,
    pub(super) authorities: &'a str,
    pub(super) vector: &'a PersonaVector,
    pub(super) model: &'a PersonaModel,
    pub(super) digest: &'a Digest,
}

impl Plan<'_> {
    /// The Job that gives the answers; a single pod makes the vector, too.
    pub(super) fn answers(&self) -> serde_json::Result<Job> {
        let shards = self.extraction().shards;
        let name = names::for_extraction(&self.vector.name_any());
        if shards == 1 {
            return serde_json::from_value(self.job(&name, self.arguments(&[])));
        }
        // The kubelet fills the index in.
        let index = "$(JOB_COMPLETION_INDEX)";
        let arguments = self.arguments(&[
            format!("--shard={index}/{shards}"),
            format!("--out={}", self.part(index)),
        ]);
        let mut job = self.job(&name, arguments);
        job["spec"]["completionMode"] = json!("Indexed");
        job["spec"]["completions"] = json!(shards);
        job["spec"]["parallelism"] = json!(shards.min(MAX_PARALLEL));
        serde_json::from_value(job)
    }

    /// The Job that makes the vector from the parts.
    pub(super) fn merge(&self) -> serde_json::Result<Job> {
        let parts = (0..self.extraction().shards)
            .map(|index| format!("--parts={}", self.part(&index.to_string())));
        let mut more: Vec<String> = parts.collect();
        more.push("--consume".to_owned());
        serde_json::from_value(
            self.job(&names::for_extraction_merge(&self.vector.name_any()), self.arguments(&more)),
        )
    }

    fn extraction(&self) -> Extraction {
        self.vector.spec.extraction.clone().unwrap_or_default()
    }

    /// A file of the workspace. Named after all that the vector depends on: a workspace may hold
    /// those of other extractions.
    fn file(&self, ending: &str) -> String {
        format!("{WORK_DIR}/{}-{}{ending}", self.vector.name_any(), self.digest.short())
    }

    fn part(&self, index: &str) -> String {
        self.file(&format!("-{index}.part"))
    }

    /// `more` may give its own `--out`.
    fn arguments(&self, more: &[String]) -> Vec<String> {
        let (spec, extraction) = (&self.vector.spec, self.extraction());
        let mut arguments = vec!["extract".to_owned()];
        let mut give = |name: &str, value: String| arguments.push(format!("--{name}={value}"));
        give("model", format!("{}/{}", names::MODEL_DIR, self.model.spec.source.path()));
        give("trait", spec.trait_name.clone());
        if let Some(description) =
            spec.description.as_ref().filter(|_| TraitSpec::builtin(&spec.trait_name).is_err())
        {
            give("description", description.clone());
        }
        if let Some(endpoint) = &extraction.endpoint {
            give("endpoint", endpoint.url.clone());
            give("endpoint-model", endpoint.model.clone());
        }
        give("tokens", extraction.tokens.to_string());
        give("questions", extraction.questions.to_string());
        give("rollouts", extraction.rollouts.to_string());
        give("seed", extraction.seed.to_string());
        if !more.iter().any(|argument| argument.starts_with("--out=")) {
            give("out", self.file(".safetensors"));
        }
        give(
            "deliver-to",
            format!("https://{}:{}", self.settings.report_host(), names::REPORT_PORT),
        );
        give("token-file", format!("{}/token", names::TOKEN_DIR));
        give("ca-file", format!("{CA_DIR}/{}", names::CA_FILE));
        arguments.extend_from_slice(more);
        arguments
    }

    #[allow(clippy::needless_pass_by_value, reason = "every caller makes them on the spot")]
    fn job(&self, job: &str, arguments: Vec<String>) -> Value {
        let (name, extraction) = (self.vector.name_any(), self.extraction());
        let labels = json!({
            names::VECTOR_LABEL: name,
            "app.kubernetes.io/name": "personaguard-extract",
            "app.kubernetes.io/managed-by": names::FIELD_MANAGER
        });
        let annotations = json!({
            names::EXTRACTION_ANNOTATION: self.digest,
            names::SHARDS_ANNOTATION: extraction.shards.to_string()
        });
        let key = extraction.endpoint.as_ref().and_then(|endpoint| endpoint.key_secret.as_ref());
        let environment = key.map(|key| {
            let source = json!({ "secretKeyRef": { "name": key.name, "key": key.key } });
            json!({ "name": ENDPOINT_KEY, "valueFrom": source })
        });
        let work = match &extraction.workspace {
            Some(volume) => {
                json!({ "name": WORK, "persistentVolumeClaim": { "claimName": volume.claim_name } })
            }
            None => json!({ "name": WORK, "emptyDir": { "sizeLimit": "1Gi" } }),
        };
        json!({
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {
                "name": job,
                "namespace": self.settings.place.namespace,
                "labels": labels,
                "annotations": annotations,
                "ownerReferences": [self.vector.owner_ref(&())]
            },
            "spec": {
                "backoffLimit": RETRIES,
                "ttlSecondsAfterFinished": KEPT_SECONDS,
                "template": {
                    "metadata": {
                        "labels": labels,
                        "annotations": { names::EXTRACTION_ANNOTATION: self.digest, names::CA_ANNOTATION: self.authorities }
                    },
                    "spec": {
                        // A container that ended early is started again beside its journal, and
                        // goes on from there.
                        "restartPolicy": "OnFailure",
                        "automountServiceAccountToken": false,
                        "enableServiceLinks": false,
                        "securityContext": { "fsGroup": USER },
                        "containers": [{
                            "name": "extract",
                            "image": self.settings.sidecar_image,
                            "imagePullPolicy": self.settings.sidecar_image_pull_policy.as_str(),
                            "args": arguments,
                            "env": environment.into_iter().collect::<Vec<_>>(),
                            "resources": resources(&self.model.spec.runtime, extraction.resources.as_ref()),
                            "securityContext": confined(),
                            "volumeMounts": [
                                { "name": MODEL, "mountPath": names::MODEL_DIR, "readOnly": true },
                                { "name": TOKEN, "mountPath": names::TOKEN_DIR, "readOnly": true },
                                { "name": CA, "mountPath": CA_DIR, "readOnly": true },
                                { "name": WORK, "mountPath": WORK_DIR }
                            ]
                        }],
                        "volumes": [
                            weights(MODEL, &self.model.spec.source),
                            token(TOKEN),
                            { "name": CA, "downwardAPI": { "items": [{
                                "path": names::CA_FILE,
                                "fieldRef": { "fieldPath": format!("metadata.annotations['{}']", names::CA_ANNOTATION) }
                            }] } },
                            work
                        ]
                    }
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::fixtures;
    use k8s_openapi::api::core::v1::PodSpec;

    fn vector(spec: &Value) -> PersonaVector {
        serde_json::from_value(json!({
            "apiVersion": "personaguard.dev/v1alpha1", "kind": "PersonaVector",
            "metadata": { "name": "evil", "uid": "u1" }, "spec": spec
        }))
        .unwrap()
    }

    fn with<T>(vector: &PersonaVector, make: impl FnOnce(Plan<'_>) -> T) -> T {
        let (settings, model, digest) =
            (fixtures::settings(&[]), fixtures::model(), Digest::of(b"d"));
        make(Plan {
            settings: &settings,
            authorities: "PEM",
            vector,
            model: &model,
            digest: &digest,
        })
    }

    fn pod(job: &Job) -> PodSpec {
        job.spec.clone().unwrap().template.spec.unwrap()
    }

    fn arguments(job: &Job) -> Vec<String> {
        pod(job).containers[0].args.clone().unwrap()
    }

    #[test]
    fn a_job_runs_the_command_confined_and_belongs_to_its_vector() {
        let spec = json!({ "trait": "evil", "description": "evil: wishes harm", "model": "smollm2", "extraction": { "tokens": 32 } });
        let mut vector = vector(&spec);
        let job = with(&vector, |plan| plan.answers()).unwrap();
        assert_eq!(job.metadata.owner_references.as_ref().unwrap()[0].uid, "u1");
        let template = job.spec.clone().unwrap().template;
        assert_eq!(template.metadata.unwrap().annotations.unwrap()[names::CA_ANNOTATION], "PEM");
        let of_built_in = arguments(&job);
        assert!(of_built_in.contains(&"--tokens=32".to_owned()), "{of_built_in:?}");
        assert!(
            !of_built_in.iter().any(|a| a.starts_with("--description")),
            "a built-in trait has its own"
        );
        let confined = pod(&job).containers[0].security_context.clone().unwrap();
        assert_eq!(confined.run_as_non_root, Some(true));
        assert_eq!(confined.read_only_root_filesystem, Some(true));
        vector.spec.trait_name = "pompous".into();
        let described = arguments(&with(&vector, |plan| plan.answers()).unwrap());
        assert!(described.contains(&"--description=evil: wishes harm".to_owned()), "{described:?}");
    }

    #[test]
    fn several_pods_write_a_part_each_and_one_more_makes_the_vector() {
        let extraction = json!({ "shards": 3, "workspace": { "claimName": "work" } });
        let vector =
            vector(&json!({ "trait": "evil", "model": "smollm2", "extraction": extraction }));
        let (answers, merge) =
            with(&vector, |plan| (plan.answers().unwrap(), plan.merge().unwrap()));
        let spec = answers.spec.clone().unwrap();
        assert_eq!((spec.completions, spec.completion_mode.as_deref()), (Some(3), Some("Indexed")));
        assert_eq!(answers.metadata.annotations.as_ref().unwrap()[names::SHARDS_ANNOTATION], "3");
        let given = arguments(&answers);
        assert!(given.contains(&"--shard=$(JOB_COMPLETION_INDEX)/3".to_owned()), "{given:?}");
        let outs: Vec<_> =
            given.iter().filter_map(|argument| argument.strip_prefix("--out=")).collect();
        let [out] = outs.as_slice() else { panic!("one file, not {outs:?}") };
        let taken = arguments(&merge);
        for index in ["0", "1", "2"] {
            let part = format!("--parts={}", out.replace("$(JOB_COMPLETION_INDEX)", index));
            assert!(taken.contains(&part), "{part} is not in {taken:?}");
        }
        let claim = pod(&merge)
            .volumes
            .unwrap()
            .into_iter()
            .find_map(|volume| volume.persistent_volume_claim)
            .unwrap();
        assert_eq!(claim.claim_name, "work");
    }

    #[test]
    fn an_endpoint_is_asked_with_a_key_that_the_operator_never_sees() {
        let endpoint = json!({ "url": "https://llm.example/v1", "model": "judge", "keySecret": { "name": "llm", "key": "token" } });
        let vector = vector(
            &json!({ "trait": "evil", "model": "smollm2", "extraction": { "endpoint": endpoint } }),
        );
        let job = with(&vector, |plan| plan.answers()).unwrap();
        let given = arguments(&job);
        assert!(given.contains(&"--endpoint=https://llm.example/v1".to_owned()), "{given:?}");
        assert!(given.contains(&"--endpoint-model=judge".to_owned()), "{given:?}");
        let variable = pod(&job).containers[0].env.clone().unwrap().remove(0);
        let source = variable.value_from.unwrap().secret_key_ref.unwrap();
        assert_eq!(
            (variable.name.as_str(), source.name.as_str(), source.key.as_str()),
            (ENDPOINT_KEY, "llm", "token")
        );
    }
}
