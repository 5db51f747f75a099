//! Makes kubelets refresh the mounted config at once, instead of within 90 s, by an annotation of
//! the pod. Each pod is annotated once for each config.

use super::config_digest;
use crate::context::Context;
use crate::objects::PodView;
use crate::outcome::{FailedWrites, NotLeader, WriteError};
use crate::policy::acknowledgement::acknowledges;
use crate::policy::dereference::Inputs;
use crate::policy::validate::Validated;
use futures::future::join_all;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::Api;
use personaguard_api::{PodCounts, PodState, names};
use personaguard_wire::GuardConfig;
use serde_json::json;

/// Pods that are annotated at the same time.
const MAX_PARALLEL: usize = 16;

/// Refreshes the mounts of pods that have not acknowledged the config. `changed`: the config was
/// written just now.
pub(super) async fn refresh_mounts(
    context: &Context,
    inputs: &Inputs,
    validated: &Validated,
    map: &ConfigMap,
    changed: bool,
    failed: &mut FailedWrites,
) -> Result<(), NotLeader> {
    let digest = config_digest(map).to_string();
    let behind: Vec<_> = inputs
        .sidecar_pods()
        .filter(|pod| pod.refreshed_for.as_deref() != Some(&digest))
        .filter(|pod| {
            let report = inputs.reports.get(&pod.uid);
            match validated.config_of(pod) {
                Some(config) => is_behind(pod, report, config, changed),
                None => changed,
            }
        })
        .map(|pod| pod.name.as_str())
        .collect();
    let namespace = &inputs.scope.namespace;
    annotate(context, namespace, &behind, &digest, failed).await?;
    if !behind.is_empty() {
        tracing::info!(namespace, pods = behind.len(), "the config mounts of pods were refreshed");
    }
    Ok(())
}

/// Whether a pod may not have read the config. One that has not reported yet, or is still loading
/// its weights, has read the config that it started with.
fn is_behind(
    pod: &PodView,
    report: Option<&PodCounts>,
    config: &GuardConfig,
    changed: bool,
) -> bool {
    let Some(report) = report.filter(|report| report.state != PodState::Loading) else {
        return changed;
    };
    let selecting: Vec<_> =
        config.policies.iter().filter(|policy| policy.selects(&pod.labels)).collect();
    // Sidecars acknowledge only policies that are in force.
    let unresolved = config.unresolved.iter().any(|policy| policy.selects(&pod.labels));
    (changed && unresolved)
        || report.policies.len() != selecting.len()
        || !selecting.iter().all(|policy| acknowledges(report, policy))
}

async fn annotate(
    context: &Context,
    namespace: &str,
    pods: &[&str],
    digest: &str,
    failed: &mut FailedWrites,
) -> Result<(), NotLeader> {
    let api: Api<Pod> = context.cluster.namespaced(namespace);
    let patch =
        json!({ "metadata": { "annotations": { names::CONFIG_DIGEST_ANNOTATION: digest } } });
    for names in pods.chunks(MAX_PARALLEL) {
        let patches = names.iter().map(|name| context.cluster.merge_patch(&api, name, &patch));
        for result in join_all(patches).await {
            let gone = result.as_ref().is_err_and(WriteError::is_not_found);
            if let Some(pod) = if gone { None } else { failed.keep(result)? } {
                context.stores.pods.upsert_written(pod, |pod| Some(pod.into()));
            }
        }
    }
    Ok(())
}
