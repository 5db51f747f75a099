//! The label by which the reports Service selects the leader's pod.

use crate::settings::Settings;
use anyhow::{Context as _, Result};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{ListParams, Patch, PatchParams};
use kube::{Api, Client, ResourceExt};
use personaguard_api::names;
use serde_json::{Value, json};

/// Labels our own pod if it leads, and removes the label if it does not. A new leader also removes
/// the label from other pods: an operator that was cut off may have been unable to.
pub(crate) async fn label_leader(client: &Client, settings: &Settings, leads: bool) -> Result<()> {
    let Some(me) = &settings.pod_name else { return Ok(()) };
    let api: Api<Pod> = Api::namespaced(client.clone(), &settings.installation.namespace);
    let labelled = labelled_pods(&api).await?;
    for name in labelled.iter().filter(|name| (*name == me) != leads) {
        match set_label(&api, name, Value::Null).await {
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            result => result.context("removing the leader's label from a pod")?,
        }
    }
    if leads && !labelled.contains(me) {
        set_label(&api, me, json!("true")).await.context("labelling our own pod")?;
    }
    Ok(())
}

async fn labelled_pods(api: &Api<Pod>) -> kube::Result<Vec<String>> {
    let params = ListParams::default().labels(&format!("{}=true", names::LEADER_LABEL));
    Ok(api.list_metadata(&params).await?.items.iter().map(ResourceExt::name_any).collect())
}

/// Removes the label if `value` is null.
async fn set_label(api: &Api<Pod>, pod: &str, value: Value) -> kube::Result<()> {
    let params = PatchParams {
        field_manager: Some(names::FIELD_MANAGER.to_owned()),
        ..PatchParams::default()
    };
    let patch = json!({ "metadata": { "labels": { names::LEADER_LABEL: value } } });
    api.patch(pod, &params, &Patch::Merge(&patch)).await.map(drop)
}
