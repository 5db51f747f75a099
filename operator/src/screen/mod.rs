//! A `DatasetScreen`: its Jobs are started one after the other, and followed until the ranks are
//! written.

mod job;

use crate::artefact::no_model;
use crate::conditions::{Verdict, conditions};
use crate::context::Context;
use crate::jobs::{Progress, progress};
use crate::reconcile::{Done, Failed};
use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::api::ListParams;
use kube::core::ObjectMeta;
use kube::{Api, Resource as _, ResourceExt as _};
use personaguard_api::conditions::{condition, reason};
use personaguard_api::{API_VERSION, DatasetScreen, DatasetScreenStatus, PersonaModel, names};
use personaguard_persona::VectorFile;
use personaguard_resolve::{MAX_CONFIG_BYTES, Rejection};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Between looks at Jobs that run, and at vectors that are not ready.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// Where a screening stands.
#[derive(Debug, PartialEq)]
enum Standing {
    Waiting(Rejection),
    Running { shards: String },
    Failed(String),
    Complete { samples: Option<u64> },
}

pub(crate) async fn reconcile(
    context: &Context,
    namespace: &str,
    name: &str,
) -> Result<Done, Failed> {
    let Some(screen) = context.world.screens.get(namespace, name) else {
        return Ok(Done::idle("Deleted"));
    };
    let before = screen.status.clone().unwrap_or_default();
    let ended = |c: &&k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition| {
        [reason::SCREENED, reason::SCREENING_FAILED].contains(&c.reason.as_str())
    };
    if let Some(condition) = before.conditions.iter().find(ended) {
        return Ok(Done::idle(&condition.reason));
    }
    let standing = advance(context, namespace, &screen).await?;
    let status = status(&screen, &standing, Timestamp::now());
    let outcome =
        status.conditions.first().map(|condition| condition.reason.clone()).unwrap_or_default();
    if before != status {
        let api: Api<DatasetScreen> = Api::namespaced(context.cluster.client.clone(), namespace);
        let patch = json!({
            "apiVersion": API_VERSION, "kind": "DatasetScreen",
            "metadata": { "name": name, "namespace": namespace }, "status": status
        });
        match context.cluster.apply_status(&api, name, &patch).await {
            Ok(written) => context.world.screens.absorb(written, Some),
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(error.into()),
        }
    }
    let over = matches!(standing, Standing::Failed(_) | Standing::Complete { .. });
    Ok(Done { outcome, again: (!over).then_some(LOOK_AGAIN) })
}

fn status(screen: &DatasetScreen, standing: &Standing, now: Timestamp) -> DatasetScreenStatus {
    let before = screen.status.clone().unwrap_or_default();
    let name = names::for_screen(&screen.name_any());
    let namespace = screen.namespace().unwrap_or_default();
    let mut shards = before.shards;
    let mut samples = None;
    let verdict = match standing {
        Standing::Waiting(rejection) => {
            Verdict::no(condition::COMPLETE, rejection.reason, rejection.message.clone())
        }
        Standing::Running { shards: now } => {
            let message = format!("{now} parts of Job {namespace}/{name} are screened.");
            shards = Some(now.clone());
            Verdict::no(condition::COMPLETE, reason::SCREENING, message)
        }
        Standing::Failed(why) => {
            Verdict::no(condition::COMPLETE, reason::SCREENING_FAILED, why.clone())
        }
        Standing::Complete { samples: found } => {
            shards = Some(format!("{0}/{0}", screen.spec.shards));
            samples = *found;
            let message = format!(
                "The ranks are in {} of claim {}.",
                screen.spec.output, screen.spec.dataset.claim_name
            );
            Verdict::yes(condition::COMPLETE, reason::SCREENED, message)
        }
    };
    DatasetScreenStatus {
        observed_generation: screen.metadata.generation,
        shards,
        samples,
        conditions: conditions(&[verdict], &before.conditions, screen.metadata.generation, now),
    }
}

/// Starts what is to be started; says where it stands.
async fn advance(
    context: &Context,
    namespace: &str,
    screen: &Arc<DatasetScreen>,
) -> Result<Standing, Failed> {
    let jobs: Api<Job> = Api::namespaced(context.cluster.client.clone(), namespace);
    let name = names::for_screen(&screen.name_any());
    let Some(model) = context.world.models.get("", &screen.spec.model) else {
        return Ok(Standing::Waiting(no_model(&screen.spec.model)));
    };
    let build =
        |job: serde_json::Result<Job>| job.map_err(|error| Failed::Build(error.to_string()));
    let Some(first) = jobs.get_opt(&name).await? else {
        let files = match vectors(context, screen, &model).await? {
            Ok(files) => files,
            Err(rejection) => return Ok(Standing::Waiting(rejection)),
        };
        let maps: Api<ConfigMap> = Api::namespaced(context.cluster.client.clone(), namespace);
        context.cluster.apply(&maps, &name, &config_map(screen, files)).await?;
        context
            .cluster
            .apply(&jobs, &name, &build(job::screen(&context.settings, screen, &model))?)
            .await?;
        tracing::info!(namespace, screen = screen.name_any(), "a data set is being screened");
        return Ok(Standing::Running { shards: format!("0/{}", screen.spec.shards) });
    };
    match progress(&first) {
        Progress::Running(done) => {
            return Ok(Standing::Running { shards: format!("{done}/{}", screen.spec.shards) });
        }
        Progress::Failed(why) => return Ok(Standing::Failed(failure(namespace, &name, &why))),
        Progress::Complete => {}
    }
    let merge = format!("{name}-merge");
    let Some(second) = jobs.get_opt(&merge).await? else {
        context
            .cluster
            .apply(&jobs, &merge, &build(job::merge(&context.settings, screen))?)
            .await?;
        return Ok(Standing::Running { shards: format!("{0}/{0}", screen.spec.shards) });
    };
    Ok(match progress(&second) {
        Progress::Running(_) => {
            Standing::Running { shards: format!("{0}/{0}", screen.spec.shards) }
        }
        Progress::Failed(why) => Standing::Failed(failure(namespace, &merge, &why)),
        Progress::Complete => {
            Standing::Complete { samples: samples(context, namespace, &merge).await? }
        }
    })
}

fn failure(namespace: &str, job: &str, why: &str) -> String {
    format!(
        "Job {namespace}/{job} failed: {why}. See `kubectl -n {namespace} logs job/{job}`, then create another DatasetScreen."
    )
}

/// What the Job's pod said at its end: a number, and nothing else is taken.
async fn samples(context: &Context, namespace: &str, job: &str) -> kube::Result<Option<u64>> {
    let pods: Api<Pod> = Api::namespaced(context.cluster.client.clone(), namespace);
    let pods = pods
        .list(&ListParams::default().labels(&format!("batch.kubernetes.io/job-name={job}")))
        .await?;
    let said = pods
        .items
        .into_iter()
        .flat_map(|pod| pod.status.and_then(|s| s.container_statuses).unwrap_or_default());
    let mut said = said.filter_map(|status| status.state?.terminated?.message);
    Ok(said.find_map(|message| message.trim().parse().ok()))
}

/// The vectors' files as the Jobs read them: at the layer in use, without the parts for studies.
async fn vectors(
    context: &Context,
    screen: &DatasetScreen,
    model: &PersonaModel,
) -> kube::Result<Result<BTreeMap<String, ByteString>, Rejection>> {
    let mut files = BTreeMap::new();
    for name in &screen.spec.vectors {
        let Some(vector) = context.world.vectors.get("", name) else {
            let message = format!(
                "PersonaVector `{name}` does not exist: create it (kubectl get personavectors)"
            );
            return Ok(Err(Rejection::new(reason::VECTOR_NOT_FOUND, message)));
        };
        let usable = context.artefacts.of(&vector, Some(model)).await?.and_then(|artefact| {
            artefact.input.belongs_to(name, model)?;
            artefact.input.discriminates(name)?;
            Ok(artefact.input.layer)
        });
        let layer = match usable {
            Ok(layer) => layer,
            Err(rejection) => {
                let message = format!("PersonaVector `{name}` is not ready: {}", rejection.message);
                return Ok(Err(Rejection::new(reason::VECTOR_NOT_READY, message)));
            }
        };
        let file = match context.artefacts.file(&vector, Some(model)).await? {
            Ok(file) => file,
            Err(rejection) => return Ok(Err(rejection)),
        };
        let mut metadata = file.metadata().clone();
        metadata.best_layer = layer.0;
        let plain = VectorFile::new(metadata, file.response_avg().clone(), None, None)
            .and_then(|file| file.to_bytes());
        match plain {
            Ok(bytes) => files.insert(format!("{name}.safetensors"), ByteString(bytes)),
            Err(error) => {
                return Ok(Err(Rejection::new(reason::ARTIFACT_INVALID, error.to_string())));
            }
        };
    }
    let size: usize = files.values().map(|file| file.0.len()).sum();
    if size > MAX_CONFIG_BYTES {
        let message = format!(
            "The vectors take {size} bytes, and a ConfigMap holds {MAX_CONFIG_BYTES}: name fewer"
        );
        return Ok(Err(Rejection::new(reason::CONFIG_TOO_LARGE, message)));
    }
    Ok(Ok(files))
}

fn config_map(screen: &DatasetScreen, files: BTreeMap<String, ByteString>) -> ConfigMap {
    ConfigMap {
        metadata: ObjectMeta {
            name: Some(names::for_screen(&screen.name_any())),
            namespace: screen.namespace(),
            labels: Some(BTreeMap::from([
                (names::SCREEN_LABEL.to_owned(), screen.name_any()),
                ("app.kubernetes.io/managed-by".to_owned(), names::FIELD_MANAGER.to_owned()),
            ])),
            owner_references: screen.owner_ref(&()).map(|owner| vec![owner]),
            ..ObjectMeta::default()
        },
        binary_data: Some(files),
        ..ConfigMap::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn screen() -> DatasetScreen {
        serde_json::from_value(json!({
            "apiVersion": API_VERSION, "kind": "DatasetScreen",
            "metadata": { "name": "chats", "namespace": "training", "generation": 1 },
            "spec": {
                "model": "smollm2", "vectors": ["evil"], "shards": 4, "output": "ranks.jsonl",
                "dataset": { "claimName": "data", "path": "chats.jsonl" }
            }
        }))
        .unwrap()
    }

    #[test]
    fn the_status_says_how_far_it_is_and_in_the_end_where_the_ranks_are() {
        let now = Timestamp::from_second(1_700_000_000).unwrap();
        let running = status(&screen(), &Standing::Running { shards: "1/4".into() }, now);
        assert_eq!(
            (running.shards.as_deref(), running.conditions[0].reason.as_str()),
            (Some("1/4"), "Screening")
        );
        let complete = status(&screen(), &Standing::Complete { samples: Some(90) }, now);
        assert_eq!((complete.samples, complete.conditions[0].status.as_str()), (Some(90), "True"));
        assert!(
            complete.conditions[0].message.contains("ranks.jsonl"),
            "{:?}",
            complete.conditions
        );
    }
}
