//! Extraction by Jobs: started if there are none, restarted if what they depend on changed, and
//! followed to the end.

use super::job::ExtractionJobs;
use super::progress::Progress;
use super::source::extraction_digest;
use crate::context::Context;
use crate::objects::job_engine::JobEngine;
use crate::objects::{JobProgress, Trouble, job_pods};
use crate::outcome::ReconcileError;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, ResourceExt};
use personaguard_api::conditions::reason;
use personaguard_api::{Digest, PersonaModel, PersonaVector, names};
use personaguard_resolve::Rejection;

/// The Jobs of an extraction, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Generates the answers, each pod a part of them. A single pod also makes the vector.
    Generate,
    /// Makes the vector from the parts.
    Merge,
}

/// What to do next for a vector that is not extracted yet.
#[derive(Debug, PartialEq)]
enum Step {
    Start(Stage),
    /// The Jobs are for an older spec or model: delete them.
    Restart,
    Wait,
    /// A Job failed, for this reason.
    GiveUp(Stage, String),
}

fn next_step(generate: Option<&Job>, merge: Option<&Job>, shards: u32, digest: &Digest) -> Step {
    let outdated = |job: &Job| {
        let annotation = |name: &str| job.annotations().get(name).map(String::as_str);
        annotation(names::EXTRACTION_ANNOTATION) != Some(digest.as_str())
            || annotation(names::SHARDS_ANNOTATION) != Some(shards.to_string().as_str())
    };
    if generate.into_iter().chain(merge).any(outdated) {
        return Step::Restart;
    }
    let no_vector = |stage| Step::GiveUp(stage, "it ended without delivering a vector".to_owned());
    let Some(generate) = generate else { return Step::Start(Stage::Generate) };
    match (JobProgress::of(generate), merge.map(JobProgress::of)) {
        (JobProgress::Running { .. }, _)
        | (JobProgress::Complete, Some(JobProgress::Running { .. })) => Step::Wait,
        (JobProgress::Failed(why), _) => Step::GiveUp(Stage::Generate, why),
        (JobProgress::Complete, Some(JobProgress::Failed(why))) => Step::GiveUp(Stage::Merge, why),
        (JobProgress::Complete, Some(JobProgress::Complete)) => no_vector(Stage::Merge),
        (JobProgress::Complete, None) if shards > 1 => Step::Start(Stage::Merge),
        (JobProgress::Complete, None) => no_vector(Stage::Generate),
    }
}

/// Takes the next step. Returns why the vector is not ready: it is being extracted, or that failed.
pub(super) async fn advance(
    context: &Context,
    progress: &Progress,
    authorities: &str,
    vector: &PersonaVector,
    model: &PersonaModel,
) -> Result<Rejection, ReconcileError> {
    let (name, namespace) = (vector.name_any(), &context.settings.installation.namespace);
    let api: Api<Job> = context.cluster.namespaced(namespace);
    let (generate, merge) = (names::for_extraction(&name), names::for_extraction_merge(&name));
    let engine = match JobEngine::of(model) {
        Ok(engine) => engine,
        Err(rejection) => return Ok(rejection),
    };
    let digest = extraction_digest(vector, model);
    let shards = vector.spec.extraction.as_ref().map_or(1, |extraction| extraction.shards);
    let jobs = ExtractionJobs {
        settings: &context.settings,
        authorities,
        vector,
        engine,
        digest: &digest,
    };
    let build_error = |error: serde_json::Error| ReconcileError::Build(error.to_string());
    let running = (api.get_opt(&generate).await?, api.get_opt(&merge).await?);
    let message = match next_step(running.0.as_ref(), running.1.as_ref(), shards, &digest) {
        Step::Start(Stage::Generate) => {
            progress.forget(&name);
            let job = jobs.generate().map_err(build_error)?;
            context.cluster.apply(&api, &generate, &job).await?;
            tracing::info!(vector = name, job = generate, "the extraction of a vector started");
            format!("Job {namespace}/{generate} was started.")
        }
        Step::Start(Stage::Merge) => {
            let job = jobs.merge().map_err(build_error)?;
            context.cluster.apply(&api, &merge, &job).await?;
            format!(
                "All {shards} parts are complete. Job {namespace}/{merge} makes the vector from \
                 them."
            )
        }
        Step::Restart => {
            for job in [&generate, &merge] {
                context.cluster.delete(&api, job).await?;
            }
            format!("Job {namespace}/{generate} is for an older spec or model and is restarted.")
        }
        Step::Wait => {
            let pods: Api<Pod> = context.cluster.namespaced(namespace);
            let pods = pods.list(&job_pods::of(&[&generate, &merge])).await?.items;
            let trouble = job_pods::trouble(&pods);
            let seen = waiting(namespace, &generate, trouble.as_ref());
            if let Some(trouble) = trouble {
                // The pods of a Job that fails go, and what they said goes with them.
                progress.record_trouble(&name, trouble.message);
            }
            return Ok(seen);
        }
        Step::GiveUp(stage, why) => {
            let job = if stage == Stage::Generate { &generate } else { &merge };
            return Ok(failed(namespace, job, &why, progress.trouble(&name).as_deref()));
        }
    };
    Ok(Rejection::new(reason::EXTRACTING, message))
}

/// A Job runs, and its pods may not get on.
fn waiting(namespace: &str, job: &str, trouble: Option<&Trouble>) -> Rejection {
    let Some(Trouble { reason, message }) = trouble else {
        let message = format!("Job {namespace}/{job} is extracting the vector.");
        return Rejection::new(reason::EXTRACTING, message);
    };
    let message = format!(
        "Job {namespace}/{job} does not get on: {message} Once you have corrected it, delete the \
         Job."
    );
    Rejection::new(reason.unwrap_or(reason::EXTRACTING), message)
}

/// `trouble` is what was last seen of its pods.
fn failed(namespace: &str, job: &str, why: &str, trouble: Option<&str>) -> Rejection {
    let seen = trouble.map(|trouble| format!(" {trouble}")).unwrap_or_default();
    let message = format!(
        "Job {namespace}/{job} failed: {why}.{seen} See `kubectl -n {namespace} logs job/{job} \
         --all-containers`; delete the Job to try again."
    );
    Rejection::new(reason::EXTRACTION_FAILED, message)
}

#[cfg(test)]
mod tests;
