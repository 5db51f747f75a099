//! Step 4: makes it so. Nothing is requested where the cached object already is as it should be.

use super::build::{Desired, Wanted, digest};
use super::dereference::Inputs;
use super::update_status::acknowledges;
use crate::context::Context;
use crate::reconcile::Failed;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::Api;
use kube::core::ObjectMeta;
use personaguard_api::{PersonaInjection, PodState, names};
use personaguard_wire::GuardConfig;
use serde_json::json;
use std::sync::Arc;

/// Pods that are nudged at the same time.
const NUDGES: usize = 16;

pub(super) async fn apply(
    context: &Context,
    inputs: &mut Inputs,
    desired: &Desired,
) -> Result<(), Failed> {
    // A pod that is injected mounts the config: the config comes before the injection, and goes
    // after it.
    if matches!(desired.injection, Wanted::Absent) {
        remove_injection(context, inputs).await?;
    }
    let changed = apply_config(context, inputs, &desired.config).await?;
    if let Wanted::Exactly(injection) = &desired.injection {
        apply_injection(context, inputs, injection).await?;
    }
    nudge(context, inputs, changed).await
}

async fn remove_injection(context: &Context, inputs: &mut Inputs) -> Result<(), Failed> {
    let Some(injection) = inputs.injection.take() else { return Ok(()) };
    let api: Api<PersonaInjection> =
        Api::namespaced(context.cluster.client.clone(), &inputs.scope.namespace);
    let name = injection.metadata.name.clone().unwrap_or_default();
    context.cluster.delete(&api, &name).await?;
    tracing::info!(namespace = inputs.scope.namespace, name, "nothing is injected any more");
    Ok(())
}

/// Says whether the config changed.
async fn apply_config(
    context: &Context,
    inputs: &mut Inputs,
    wanted: &Wanted<ConfigMap>,
) -> Result<bool, Failed> {
    let api: Api<ConfigMap> =
        Api::namespaced(context.cluster.client.clone(), &inputs.scope.namespace);
    let name = names::for_model(&inputs.scope.model);
    match wanted {
        Wanted::Unchanged => Ok(false),
        Wanted::Absent => {
            if inputs.config_map.take().is_some() {
                context.cluster.delete(&api, &name).await?;
                tracing::info!(
                    namespace = inputs.scope.namespace,
                    name,
                    "the config went with the last pod that used it"
                );
            }
            Ok(false)
        }
        Wanted::Exactly(map) => {
            let there = inputs.config_map.as_ref().is_some_and(|there| {
                there.data == map.data
                    && there.binary_data == map.binary_data
                    && labelled(&there.metadata, &map.metadata)
            });
            if there {
                return Ok(false);
            }
            let before = inputs.config_map.as_deref().map(digest);
            let written = context.cluster.apply(&api, &name, map.as_ref()).await?;
            context.world.config_maps.absorb(written.clone(), Some);
            tracing::info!(
                namespace = inputs.scope.namespace,
                name,
                digest = digest(&written).short(),
                "the config was written"
            );
            let changed = before.as_ref() != Some(&digest(&written));
            inputs.config_map = Some(Arc::new(written));
            Ok(changed)
        }
    }
}

async fn apply_injection(
    context: &Context,
    inputs: &Inputs,
    injection: &PersonaInjection,
) -> Result<(), Failed> {
    let there = inputs.injection.as_ref().is_some_and(|there| {
        there.spec == injection.spec && labelled(&there.metadata, &injection.metadata)
    });
    if there {
        return Ok(());
    }
    let api: Api<PersonaInjection> =
        Api::namespaced(context.cluster.client.clone(), &inputs.scope.namespace);
    let name = names::for_model(&inputs.scope.model);
    let written = context.cluster.apply(&api, &name, injection).await?;
    context.world.injections.absorb(written, Some);
    tracing::info!(namespace = inputs.scope.namespace, name, "the injection was written");
    Ok(())
}

fn labelled(there: &ObjectMeta, wanted: &ObjectMeta) -> bool {
    let there = there.labels.as_ref();
    wanted
        .labels
        .iter()
        .flatten()
        .all(|(key, value)| there.and_then(|labels| labels.get(key)) == Some(value))
}

/// Makes the kubelets refresh the config of pods that have not acknowledged it: at once, in place
/// of within 90 s. Once for each config and pod. A pod that has not reported yet has read the
/// config as it was when it started, so it is nudged only for a change that was made just now; so
/// is one that is loading its weights.
async fn nudge(context: &Context, inputs: &Inputs, changed: bool) -> Result<(), Failed> {
    let Some(map) = &inputs.config_map else { return Ok(()) };
    let text = map.data.as_ref().and_then(|data| data.get(names::CONFIG_FILE));
    let Some(config) = text.and_then(|text| GuardConfig::from_yaml(text.as_bytes()).ok()) else {
        return Ok(());
    };
    let digest = digest(map).to_string();
    let behind =
        inputs.guarded_pods().filter(|pod| pod.nudged.as_deref() != Some(&digest)).filter(|pod| {
            match inputs.reports.get(&pod.uid) {
                Some(report) if report.state != PodState::Loading => {
                    let mine: Vec<_> = config
                        .policies
                        .iter()
                        .filter(|policy| policy.selects(&pod.labels))
                        .collect();
                    // What is not in force is not acknowledged either.
                    let untold = changed
                        && config.unresolved.iter().any(|policy| policy.selects(&pod.labels));
                    untold
                        || report.policies.len() != mine.len()
                        || !mine.iter().all(|policy| acknowledges(report, policy))
                }
                Some(_) | None => changed,
            }
        });
    let behind: Vec<String> = behind.map(|pod| pod.name.clone()).collect();
    let api: Api<Pod> = Api::namespaced(context.cluster.client.clone(), &inputs.scope.namespace);
    let patch =
        json!({ "metadata": { "annotations": { names::CONFIG_DIGEST_ANNOTATION: digest } } });
    for names in behind.chunks(NUDGES) {
        let patches = names.iter().map(|name| context.cluster.merge(&api, name, &patch));
        for result in futures::future::join_all(patches).await {
            match result {
                Ok(pod) => context.world.pods.absorb(pod, |pod| Some(pod.into())),
                Err(error) if error.is_not_found() => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    if !behind.is_empty() {
        tracing::info!(
            namespace = inputs.scope.namespace,
            pods = behind.len(),
            "pods were nudged to read their config"
        );
    }
    Ok(())
}
