//! Runs the Jobs of a `DatasetScreen`, and keeps its status up to date.

use super::job;
use super::status::{Phase, final_reason, status};
use super::vectors;
use crate::context::Context;
use crate::keys::ObjectName;
use crate::objects::job_engine::JobEngine;
use crate::objects::{JobProgress, job_pods, same_content};
use crate::outcome::{Done, ReconcileError};
use crate::vector::{ArtifactCache, model_not_found};
use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::{Api, ResourceExt};
use personaguard_api::conditions::reason;
use personaguard_api::{DatasetScreen, PersonaModel, names, with_causes};
use personaguard_resolve::Rejection;
use std::sync::Arc;
use std::time::Duration;

/// Between checks of running Jobs, and of vectors that are not ready.
const CHECK_INTERVAL: Duration = Duration::from_secs(5);

pub(crate) struct Controller {
    context: Arc<Context>,
    artifacts: Arc<ArtifactCache>,
}

impl Controller {
    pub(crate) fn new(context: Arc<Context>, artifacts: Arc<ArtifactCache>) -> Self {
        Self { context, artifacts }
    }

    pub(crate) async fn reconcile(&self, name: &ObjectName) -> Result<Done, ReconcileError> {
        let stores = &self.context.stores;
        let Some(screen) = stores.screens.get(&name.namespace, &name.name) else {
            return Ok(Done::until_change("Deleted"));
        };
        let before = screen.status.clone().unwrap_or_default();
        if let Some(reason) = final_reason(&before) {
            return Ok(Done::until_change(reason));
        }
        let unread = stores.screens.unreadable(&name.namespace, &name.name);
        if unread.or_else(|| stores.models.unreadable("", &screen.spec.model)).is_some() {
            return Ok(Done::until_change(reason::UNREADABLE));
        }
        let mut refused = None;
        let phase = match self.advance(&name.namespace, &screen).await {
            // The status goes on, and says so.
            Err(ReconcileError::Write(error)) if error.refusal().is_some() => {
                let message = with_causes(&error);
                refused = Some(error);
                Phase::Waiting(Rejection::new(reason::WRITE_REFUSED, message))
            }
            phase => phase?,
        };
        let status = status(&screen, &phase, Timestamp::now());
        if before != status {
            let api: Api<DatasetScreen> = self.context.cluster.namespaced(&name.namespace);
            self.context.write_status(&api, &stores.screens, &name.name, &status).await?;
        }
        if let Some(error) = refused {
            return Err(error.into());
        }
        let complete = status.conditions.into_iter().next();
        Ok(Done {
            reason: complete.map(|complete| complete.reason).unwrap_or_default(),
            requeue_after: (!phase.is_final()).then_some(CHECK_INTERVAL),
        })
    }

    /// Starts the Job that is next, if any.
    async fn advance(
        &self,
        namespace: &str,
        screen: &DatasetScreen,
    ) -> Result<Phase, ReconcileError> {
        let jobs: Api<Job> = self.context.cluster.namespaced(namespace);
        let name = names::for_screen(&screen.name_any());
        let Some(model) = self.context.stores.models.get("", &screen.spec.model) else {
            return Ok(Phase::Waiting(model_not_found(&screen.spec.model)));
        };
        let Some(first) = jobs.get_opt(&name).await? else {
            return self.start(&jobs, namespace, screen, &model).await;
        };
        if !is_owned(&first, screen) {
            return Ok(foreign(namespace, &name));
        }
        match JobProgress::of(&first) {
            JobProgress::Running { succeeded_pods } => {
                let done_shards = u32::try_from(succeeded_pods).unwrap_or(0);
                let trouble = job_pods::trouble(&self.pods(namespace, &first).await?);
                Ok(Phase::Running { done_shards, trouble })
            }
            JobProgress::Failed(why) => Ok(failed(namespace, &name, &why)),
            JobProgress::Complete => self.merge(&jobs, namespace, screen, &first).await,
        }
    }

    /// Starts the Job that screens the parts.
    async fn start(
        &self,
        jobs: &Api<Job>,
        namespace: &str,
        screen: &DatasetScreen,
        model: &PersonaModel,
    ) -> Result<Phase, ReconcileError> {
        let engine = match JobEngine::of(model) {
            Ok(engine) => engine,
            Err(rejection) => return Ok(Phase::Waiting(rejection)),
        };
        let files = match vectors::files(&self.context, &self.artifacts, screen, model).await? {
            Ok(files) => files,
            Err(rejection) => return Ok(Phase::Waiting(rejection)),
        };
        let cluster = &self.context.cluster;
        let name = names::for_screen(&screen.name_any());
        let maps: Api<ConfigMap> = cluster.namespaced(namespace);
        let map = vectors::config_map(screen, files);
        let right = |it: &ConfigMap| same_content(it, &map);
        cluster.apply_or_make_anew(&maps, &map, right).await?;
        let job = job::screen(&self.context.settings, screen, &engine).map_err(build_error)?;
        cluster.apply(jobs, &name, &job).await?;
        tracing::info!(
            namespace,
            screen = screen.name_any(),
            "the screening of a data set started"
        );
        Ok(Phase::Running { done_shards: 0, trouble: None })
    }

    /// Starts or follows the Job that ranks the parts together.
    async fn merge(
        &self,
        jobs: &Api<Job>,
        namespace: &str,
        screen: &DatasetScreen,
        first: &Job,
    ) -> Result<Phase, ReconcileError> {
        let name = job::merge_name(screen);
        let Some(merge) = jobs.get_opt(&name).await? else {
            let job = job::merge(&self.context.settings, screen).map_err(build_error)?;
            self.context.cluster.apply(jobs, &name, &job).await?;
            return Ok(Phase::Running { done_shards: screen.spec.shards, trouble: None });
        };
        if !is_owned(&merge, screen) {
            return Ok(foreign(namespace, &name));
        }
        Ok(match JobProgress::of(&merge) {
            JobProgress::Running { .. } => {
                let trouble = job_pods::trouble(&self.pods(namespace, &merge).await?);
                Phase::Running { done_shards: screen.spec.shards, trouble }
            }
            JobProgress::Failed(why) => failed(namespace, &name, &why),
            JobProgress::Complete => {
                let samples = self.numbers(namespace, &merge).await?.first().copied();
                let skipped = match screen.spec.skip_invalid {
                    true => sum_of_all(screen.spec.shards, &self.numbers(namespace, first).await?),
                    false => None,
                };
                Phase::Complete { samples, skipped }
            }
        })
    }

    /// The pods of a Job: those that it made, and none that only has the label.
    async fn pods(&self, namespace: &str, job: &Job) -> kube::Result<Vec<Pod>> {
        let pods: Api<Pod> = self.context.cluster.namespaced(namespace);
        let mut found = pods.list(&job_pods::of(&[&job.name_any()])).await?.items;
        let uid = job.metadata.uid.as_deref();
        found.retain(|pod| uid.is_some_and(|uid| belongs_to(pod, uid)));
        Ok(found)
    }

    /// The numbers in the termination messages of the Job's pods that succeeded. Nothing but a
    /// number is accepted.
    async fn numbers(&self, namespace: &str, job: &Job) -> kube::Result<Vec<u64>> {
        let pods = self.pods(namespace, job).await?.into_iter();
        let statuses =
            pods.flat_map(|pod| pod.status.and_then(|s| s.container_statuses).unwrap_or_default());
        let ended = statuses.filter_map(|status| status.state?.terminated);
        let succeeded = ended.filter(|ended| ended.exit_code == 0);
        Ok(succeeded.filter_map(|ended| ended.message?.trim().parse().ok()).collect())
    }
}

/// The sum of one number a part; none where a part's is not known.
fn sum_of_all(parts: u32, numbers: &[u64]) -> Option<u64> {
    let is_complete = u32::try_from(numbers.len()).is_ok_and(|known| known == parts);
    is_complete.then(|| numbers.iter().fold(0, |sum: u64, number| sum.saturating_add(*number)))
}

#[allow(clippy::needless_pass_by_value, reason = "the signature that map_err calls")]
fn build_error(error: serde_json::Error) -> ReconcileError {
    ReconcileError::Build(error.to_string())
}

/// Whether an object is owned by the one of this UID. A name or a label may be anyone's.
fn belongs_to(object: &impl ResourceExt, uid: &str) -> bool {
    object.owner_references().iter().any(|owner| owner.uid == uid)
}

fn is_owned(job: &Job, screen: &DatasetScreen) -> bool {
    screen.uid().is_some_and(|uid| belongs_to(job, &uid))
}

fn foreign(namespace: &str, job: &str) -> Phase {
    Phase::Failed(format!(
        "Job {namespace}/{job} is not of this DatasetScreen: delete the Job, then create another \
         DatasetScreen."
    ))
}

fn failed(namespace: &str, job: &str, why: &str) -> Phase {
    Phase::Failed(format!(
        "Job {namespace}/{job} failed: {why}. See `kubectl -n {namespace} logs job/{job}`, then \
         create another DatasetScreen."
    ))
}

#[cfg(test)]
mod tests;
