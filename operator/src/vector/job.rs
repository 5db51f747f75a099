//! The Jobs that extract a vector: one that generates the answers, each pod a part of them, and if
//! there are several pods, one that makes the vector from the parts. Pure.

use crate::objects::job_engine::JobEngine;
use crate::objects::pod_parts::{
    job_security_context, pull_secrets, restricted_security_context, token_volume,
};
use crate::settings::Settings;
use k8s_openapi::api::batch::v1::Job;
use kube::{Resource as _, ResourceExt as _};
use personaguard_api::{Digest, Extraction, PersonaVector, names};
use personaguard_persona::TraitSpec;
use serde_json::{Value, json};

/// How often a failed container is started again.
const RETRIES: u32 = 3;
/// Pods of an Indexed Job that run in parallel.
const MAX_PARALLEL: u32 = 16;
/// For how long a finished Job is kept, for its log.
const TTL_SECONDS: u32 = 24 * 3600;
/// The kubelet replaces it with the pod's completion index.
const INDEX: &str = "$(JOB_COMPLETION_INDEX)";

/// Names of volumes, and where they are mounted.
const WORK: &str = "work";
const TOKEN: &str = "token";
const CA: &str = "ca";
const WORK_DIR: &str = "/work";
const CA_DIR: &str = "/etc/personaguard/ca";
/// Environment variable with the API key of the endpoint, for `personaguard extract`.
const ENDPOINT_KEY: &str = "PERSONAGUARD_ENDPOINT_KEY";

/// What the Jobs are built from.
pub(super) struct ExtractionJobs<'a> {
    pub(super) settings: &'a Settings,
    pub(super) authorities: &'a str,
    pub(super) vector: &'a PersonaVector,
    /// What runs the model.
    pub(super) engine: JobEngine<'a>,
    pub(super) digest: &'a Digest,
}

impl ExtractionJobs<'_> {
    /// The Job that generates the answers. A single pod also makes the vector.
    pub(super) fn generate(&self) -> serde_json::Result<Job> {
        let shards = self.extraction().shards;
        let name = names::for_extraction(&self.vector.name_any());
        if shards == 1 {
            let arguments = self.arguments(&self.file(".safetensors"), &[]);
            return serde_json::from_value(self.job(&name, &arguments));
        }
        let arguments = self.arguments(&self.part(INDEX), &[format!("--shard={INDEX}/{shards}")]);
        let mut job = self.job(&name, &arguments);
        job["spec"]["completionMode"] = json!("Indexed");
        job["spec"]["completions"] = json!(shards);
        job["spec"]["parallelism"] = json!(shards.min(MAX_PARALLEL));
        serde_json::from_value(job)
    }

    /// The Job that makes the vector from the parts.
    pub(super) fn merge(&self) -> serde_json::Result<Job> {
        let parts = (0..self.extraction().shards)
            .map(|index| format!("--parts={}", self.part(&index.to_string())));
        let more: Vec<String> = parts.chain(["--consume".to_owned()]).collect();
        let arguments = self.arguments(&self.file(".safetensors"), &more);
        let name = names::for_extraction_merge(&self.vector.name_any());
        serde_json::from_value(self.job(&name, &arguments))
    }

    fn extraction(&self) -> Extraction {
        self.vector.spec.extraction.clone().unwrap_or_default()
    }

    /// A file of the workspace. Its name has the digest of what the vector depends on, because a
    /// workspace may hold files of other extractions.
    fn file(&self, suffix: &str) -> String {
        format!("{WORK_DIR}/{}-{}{suffix}", self.vector.name_any(), self.digest.short())
    }

    fn part(&self, index: &str) -> String {
        self.file(&format!("-{index}.part"))
    }

    fn arguments(&self, out: &str, more: &[String]) -> Vec<String> {
        let (spec, extraction) = (&self.vector.spec, self.extraction());
        let mut arguments = vec!["extract".to_owned()];
        let mut option = |name: &str, value: String| arguments.push(format!("--{name}={value}"));
        option("trait", spec.trait_name.clone());
        let custom = TraitSpec::builtin(&spec.trait_name).is_err();
        if let Some(description) = spec.description.as_ref().filter(|_| custom) {
            option("description", description.clone());
        }
        if let Some(endpoint) = &extraction.endpoint {
            option("endpoint", endpoint.url.clone());
            option("endpoint-model", endpoint.model.clone());
        }
        option("tokens", extraction.tokens.to_string());
        option("questions", extraction.questions.to_string());
        option("rollouts", extraction.rollouts.to_string());
        option("seed", extraction.seed.to_string());
        option("out", out.to_owned());
        let operator = format!("https://{}:{}", self.settings.report_host(), names::REPORT_PORT);
        option("deliver-to", operator);
        option("token-file", format!("{}/token", names::TOKEN_DIR));
        option("ca-file", format!("{CA_DIR}/{}", names::CA_FILE));
        arguments.extend_from_slice(more);
        arguments
    }

    fn job(&self, name: &str, arguments: &[String]) -> Value {
        let labels = json!({
            names::VECTOR_LABEL: self.vector.name_any(),
            "app.kubernetes.io/name": "personaguard-extract",
            names::MANAGED_BY_LABEL: names::FIELD_MANAGER
        });
        let annotations = json!({
            names::EXTRACTION_ANNOTATION: self.digest,
            names::SHARDS_ANNOTATION: self.extraction().shards.to_string()
        });
        // Where vLLM ends, what asks it does too, and both are started again.
        let retries = if self.engine.is_beside() { 2 * RETRIES } else { RETRIES };
        json!({
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {
                "name": name,
                "namespace": self.settings.installation.namespace,
                "labels": labels,
                "annotations": annotations,
                "ownerReferences": [self.vector.owner_ref(&())]
            },
            "spec": {
                "backoffLimit": retries,
                "ttlSecondsAfterFinished": TTL_SECONDS,
                "template": self.pod_template(&labels, arguments)
            }
        })
    }

    fn pod_template(&self, labels: &Value, arguments: &[String]) -> Value {
        let annotations = json!({
            names::EXTRACTION_ANNOTATION: self.digest,
            names::CA_ANNOTATION: self.authorities
        });
        let mut pod = json!({
            // A container that failed is restarted in place and resumes from its journal.
            "restartPolicy": "OnFailure",
            "automountServiceAccountToken": false,
            "enableServiceLinks": false,
            "securityContext": job_security_context(self.settings.run_as_user.0),
            "imagePullSecrets": pull_secrets(&self.settings.sidecar_image_pull_secrets),
            "containers": [self.container(arguments)],
            "volumes": self.volumes()
        });
        self.engine.join(self.settings, self.extraction().resources.as_ref(), &mut pod);
        json!({ "metadata": { "labels": labels, "annotations": annotations }, "spec": pod })
    }

    fn container(&self, arguments: &[String]) -> Value {
        let extraction = self.extraction();
        let key = extraction.endpoint.as_ref().and_then(|endpoint| endpoint.key_secret.as_ref());
        let key = key.map(|key| {
            let source = json!({ "secretKeyRef": { "name": key.name, "key": key.key } });
            json!({ "name": ENDPOINT_KEY, "valueFrom": source })
        });
        json!({
            "name": "extract",
            "image": self.settings.sidecar_image,
            "imagePullPolicy": self.settings.sidecar_image_pull_policy.as_str(),
            "args": arguments,
            "env": key.into_iter().collect::<Vec<_>>(),
            "securityContext": restricted_security_context(self.settings.run_as_user.0),
            "volumeMounts": [
                { "name": TOKEN, "mountPath": names::TOKEN_DIR, "readOnly": true },
                { "name": CA, "mountPath": CA_DIR, "readOnly": true },
                { "name": WORK, "mountPath": WORK_DIR }
            ]
        })
    }

    fn volumes(&self) -> Value {
        let work = match &self.extraction().workspace {
            Some(volume) => {
                json!({ "name": WORK, "persistentVolumeClaim": { "claimName": volume.claim_name } })
            }
            None => json!({ "name": WORK, "emptyDir": { "sizeLimit": "1Gi" } }),
        };
        let authorities = format!("metadata.annotations['{}']", names::CA_ANNOTATION);
        let ca = json!({ "name": CA, "downwardAPI": { "items": [{
            "path": names::CA_FILE, "fieldRef": { "fieldPath": authorities }
        }] } });
        json!([token_volume(TOKEN), ca, work])
    }
}

#[cfg(test)]
mod tests;
