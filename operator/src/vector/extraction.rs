//! Extraction by a Job: started where there is none, started anew where what it depends on changed, and followed.

use super::job;
use crate::context::Context;
use crate::jobs::{Progress, progress};
use crate::reconcile::Failed;
use k8s_openapi::api::batch::v1::Job;
use kube::{Api, ResourceExt};
use personaguard_crds::conditions::reason;
use personaguard_crds::resolve::Rejection;
use personaguard_crds::wire::ExtractionProgress;
use personaguard_crds::{Digest, PersonaModel, PersonaVector, names};
use serde_json::json;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Digest of all that an extracted vector depends on.
pub(crate) fn digest(vector: &PersonaVector, model: &PersonaModel) -> Digest {
    let settings = vector.spec.extraction.clone().unwrap_or_default();
    let all = json!([
        vector.spec.trait_name,
        vector.spec.description,
        settings.tokens,
        settings.questions,
        settings.rollouts,
        settings.seed,
        model.spec.sha256
    ]);
    Digest::of(all.to_string().as_bytes())
}

/// How far the Jobs are that run, by vector. Kept in memory: a new leader is told anew within seconds.
#[derive(Debug, Default)]
pub(crate) struct Extractions {
    progress: Mutex<HashMap<String, ExtractionProgress>>,
}

impl Extractions {
    pub(crate) fn progress(&self, vector: &str) -> Option<ExtractionProgress> {
        self.lock().get(vector).copied()
    }

    pub(crate) fn tell(&self, vector: &str, progress: ExtractionProgress) {
        self.lock().insert(vector.to_owned(), progress);
    }

    pub(crate) fn forget(&self, vector: &str) {
        self.lock().remove(vector);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, ExtractionProgress>> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is to be done about a vector that has not been extracted.
#[derive(Debug, PartialEq)]
enum Next {
    /// Start the Job.
    Start,
    /// The Job is of an earlier spec or model: remove it.
    Restart,
    /// It runs.
    Wait,
    /// It failed, for this reason.
    Failed(String),
}

fn next(job: Option<&Job>, digest: &Digest) -> Next {
    let Some(job) = job else { return Next::Start };
    if job.annotations().get(names::EXTRACTION_ANNOTATION).map(String::as_str) != Some(digest.as_str()) {
        return Next::Restart;
    }
    match progress(job) {
        Progress::Running(_) => Next::Wait,
        Progress::Failed(why) => Next::Failed(why),
        Progress::Complete => Next::Failed("it ended without having delivered a vector".to_owned()),
    }
}

/// Takes the next step; says what is going on.
pub(super) async fn advance(
    context: &Context,
    vector: &PersonaVector,
    model: &PersonaModel,
) -> Result<Rejection, Failed> {
    let (name, namespace) = (vector.name_any(), &context.settings.place.namespace);
    let api: Api<Job> = Api::namespaced(context.cluster.client.clone(), namespace);
    let job_name = names::for_extraction(&name);
    let digest = digest(vector, model);
    let extracting = |message: String| Rejection::new(reason::EXTRACTING, message);
    Ok(match next(api.get_opt(&job_name).await?.as_ref(), &digest) {
        Next::Start => {
            context.extractions.forget(&name);
            let job = job::build(&context.settings, &context.authorities(), vector, model, &digest)
                .map_err(|error| Failed::Build(error.to_string()))?;
            context.cluster.apply(&api, &job_name, &job).await?;
            tracing::info!(vector = name, job = job_name, "a vector is being extracted");
            extracting(format!("Job {namespace}/{job_name} was started."))
        }
        Next::Restart => {
            context.cluster.delete(&api, &job_name).await?;
            extracting(format!("Job {namespace}/{job_name} is of an earlier spec or model; it is started anew."))
        }
        Next::Wait => extracting(format!("Job {namespace}/{job_name} is extracting the vector.")),
        Next::Failed(why) => Rejection::new(
            reason::EXTRACTION_FAILED,
            format!(
                "Job {namespace}/{job_name} failed: {why}. See `kubectl -n {namespace} logs job/{job_name}`; delete the Job to try again."
            ),
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(digest: &Digest, condition: &str) -> Job {
        serde_json::from_value(json!({
            "metadata": { "annotations": { names::EXTRACTION_ANNOTATION: digest } },
            "status": { "conditions": [{ "type": condition, "status": "True", "message": "BackoffLimitExceeded" }] }
        }))
        .unwrap()
    }

    #[test]
    fn a_job_is_started_once_and_anew_when_what_it_depends_on_changed() {
        let (now, before) = (Digest::of(b"now"), Digest::of(b"before"));
        assert_eq!(next(None, &now), Next::Start);
        assert_eq!(next(Some(&job(&now, "Suspended")), &now), Next::Wait);
        assert_eq!(next(Some(&job(&before, "Complete")), &now), Next::Restart);
        assert_eq!(next(Some(&job(&now, "Failed")), &now), Next::Failed("BackoffLimitExceeded".to_owned()));
        assert!(matches!(next(Some(&job(&now, "Complete")), &now), Next::Failed(_)));
    }
}
