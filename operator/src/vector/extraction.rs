//! Extraction by a Job: started where there is none, started anew where what it depends on changed,
//! and followed.

use super::job;
use crate::context::Context;
use crate::jobs::{Progress, progress};
use crate::reconcile::Failed;
use k8s_openapi::api::batch::v1::Job;
use kube::{Api, ResourceExt};
use personaguard_api::conditions::reason;
use personaguard_api::{Digest, PersonaModel, PersonaVector, names};
use personaguard_resolve::Rejection;
use personaguard_wire::ExtractionProgress;
use serde_json::json;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Pods of one extraction at most.
const MAX_SHARDS: u32 = 64;

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
    let all = match &settings.endpoint {
        Some(endpoint) => json!([all, endpoint.url, endpoint.model]),
        None => all,
    };
    Digest::of(all.to_string().as_bytes())
}

/// A pod of an extraction: one that gives answers, or the one that makes the vector from all parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Worker {
    /// By its completion index.
    Shard(u32),
    Merge,
}

/// How far the Jobs are that run, by vector. Kept in memory: a new leader is told anew within
/// seconds.
#[derive(Debug, Default)]
pub(crate) struct Extractions {
    progress: Mutex<HashMap<String, BTreeMap<u32, ExtractionProgress>>>,
}

impl Extractions {
    pub(crate) fn progress(&self, vector: &str) -> Option<ExtractionProgress> {
        let inner = self.lock();
        let add = |sum: ExtractionProgress, shard: &ExtractionProgress| ExtractionProgress {
            done: sum.done.saturating_add(shard.done),
            total: sum.total.saturating_add(shard.total),
        };
        inner
            .get(vector)
            .map(|shards| shards.values().fold(ExtractionProgress { done: 0, total: 0 }, add))
    }

    pub(crate) fn tell(&self, vector: &str, worker: Worker, progress: ExtractionProgress) {
        let mut inner = self.lock();
        let shards = inner.entry(vector.to_owned()).or_default();
        match worker {
            // As many as an extraction may have.
            Worker::Shard(index) if index < MAX_SHARDS => drop(shards.insert(index, progress)),
            Worker::Shard(_) => {}
            // It counts everything anew.
            Worker::Merge => *shards = BTreeMap::from([(0, progress)]),
        }
    }

    pub(crate) fn forget(&self, vector: &str) {
        self.lock().remove(vector);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, BTreeMap<u32, ExtractionProgress>>> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is to be done about a vector that has not been extracted.
#[derive(Debug, PartialEq)]
enum Next {
    /// Start the Job that gives the answers.
    Start,
    /// Start the Job that makes the vector from the parts.
    Merge,
    /// A Job is of an earlier spec or model: remove both.
    Restart,
    /// One of them runs.
    Wait,
    /// This one of them failed, for this reason.
    Failed(Stage, String),
}

/// The Jobs of an extraction, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Answers,
    Merge,
}

fn next(answers: Option<&Job>, merge: Option<&Job>, shards: u32, digest: &Digest) -> Next {
    let old = |job: &&Job| {
        job.annotations().get(names::EXTRACTION_ANNOTATION).map(String::as_str)
            != Some(digest.as_str())
            || job.annotations().get(names::SHARDS_ANNOTATION).map(String::as_str)
                != Some(shards.to_string().as_str())
    };
    if answers.into_iter().chain(merge).any(|job| old(&job)) {
        return Next::Restart;
    }
    let nothing =
        |stage| Next::Failed(stage, "it ended without having delivered a vector".to_owned());
    let Some(answers) = answers else { return Next::Start };
    match (progress(answers), merge.map(progress)) {
        (Progress::Running(_), _) | (Progress::Complete, Some(Progress::Running(_))) => Next::Wait,
        (Progress::Failed(why), _) => Next::Failed(Stage::Answers, why),
        (Progress::Complete, Some(Progress::Failed(why))) => Next::Failed(Stage::Merge, why),
        (Progress::Complete, Some(Progress::Complete)) => nothing(Stage::Merge),
        (Progress::Complete, None) if shards > 1 => Next::Merge,
        (Progress::Complete, None) => nothing(Stage::Answers),
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
    let (answers, merge) = (names::for_extraction(&name), names::for_extraction_merge(&name));
    let digest = digest(vector, model);
    let shards = vector.spec.extraction.as_ref().map_or(1, |extraction| extraction.shards);
    let extracting = |message: String| Rejection::new(reason::EXTRACTING, message);
    let plan = job::Plan {
        settings: &context.settings,
        authorities: &context.authorities(),
        vector,
        model,
        digest: &digest,
    };
    let failed = |error: serde_json::Error| Failed::Build(error.to_string());
    let next = next(
        api.get_opt(&answers).await?.as_ref(),
        api.get_opt(&merge).await?.as_ref(),
        shards,
        &digest,
    );
    Ok(match next {
        Next::Start => {
            context.extractions.forget(&name);
            context.cluster.apply(&api, &answers, &plan.answers().map_err(failed)?).await?;
            tracing::info!(vector = name, job = answers, "a vector is being extracted");
            extracting(format!("Job {namespace}/{answers} was started."))
        }
        Next::Merge => {
            context.cluster.apply(&api, &merge, &plan.merge().map_err(failed)?).await?;
            extracting(format!(
                "All {shards} parts are there; Job {namespace}/{merge} makes the vector from them."
            ))
        }
        Next::Restart => {
            for job in [&answers, &merge] {
                context.cluster.delete(&api, job).await?;
            }
            extracting(format!(
                "Job {namespace}/{answers} is of an earlier spec or model; it is started anew."
            ))
        }
        Next::Wait => extracting(format!("Job {namespace}/{answers} is extracting the vector.")),
        Next::Failed(stage, why) => {
            let job = if stage == Stage::Answers { &answers } else { &merge };
            let message = format!(
                "Job {namespace}/{job} failed: {why}. See `kubectl -n {namespace} logs job/{job}`; delete the Job to try again."
            );
            Rejection::new(reason::EXTRACTION_FAILED, message)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(digest: &Digest, condition: &str) -> Job {
        of(digest, 1, condition)
    }

    fn of(digest: &Digest, shards: u32, condition: &str) -> Job {
        serde_json::from_value(json!({
            "metadata": { "annotations": { names::EXTRACTION_ANNOTATION: digest, names::SHARDS_ANNOTATION: shards.to_string() } },
            "status": { "conditions": [{ "type": condition, "status": "True", "message": "BackoffLimitExceeded" }] }
        }))
        .unwrap()
    }

    #[test]
    fn a_job_is_started_once_and_anew_when_what_it_depends_on_changed() {
        let (now, before) = (Digest::of(b"now"), Digest::of(b"before"));
        assert_eq!(next(None, None, 1, &now), Next::Start);
        assert_eq!(next(Some(&job(&now, "Suspended")), None, 1, &now), Next::Wait);
        assert_eq!(next(Some(&job(&before, "Complete")), None, 1, &now), Next::Restart);
        assert_eq!(
            next(Some(&job(&now, "Complete")), None, 2, &now),
            Next::Restart,
            "other shards"
        );
        let failed = Next::Failed(Stage::Answers, "BackoffLimitExceeded".to_owned());
        assert_eq!(next(Some(&job(&now, "Failed")), None, 1, &now), failed);
        assert!(matches!(
            next(Some(&job(&now, "Complete")), None, 1, &now),
            Next::Failed(Stage::Answers, _)
        ));
    }

    #[test]
    fn parts_are_merged_once_all_of_them_are_there() {
        let now = Digest::of(b"now");
        let with = |answers: &str, merge: Option<&str>| {
            next(
                Some(&of(&now, 4, answers)),
                merge.map(|condition| of(&now, 4, condition)).as_ref(),
                4,
                &now,
            )
        };
        assert_eq!(with("Suspended", None), Next::Wait);
        assert_eq!(with("Complete", None), Next::Merge);
        assert_eq!(with("Complete", Some("Suspended")), Next::Wait);
        assert!(matches!(with("Complete", Some("Failed")), Next::Failed(Stage::Merge, _)));
        assert_eq!(
            next(None, Some(&of(&Digest::of(b"before"), 4, "Complete")), 4, &now),
            Next::Restart
        );
    }

    #[test]
    fn progress_is_that_of_all_shards_together() {
        let extractions = Extractions::default();
        let part = |done| ExtractionProgress { done, total: 100 };
        extractions.tell("evil", Worker::Shard(0), part(10));
        extractions.tell("evil", Worker::Shard(1), part(20));
        extractions.tell("evil", Worker::Shard(1), part(30));
        extractions.tell("evil", Worker::Shard(MAX_SHARDS), part(99));
        assert_eq!(extractions.progress("evil"), Some(ExtractionProgress { done: 40, total: 200 }));
        extractions.tell("evil", Worker::Merge, part(50));
        assert_eq!(extractions.progress("evil"), Some(part(50)));
    }
}
