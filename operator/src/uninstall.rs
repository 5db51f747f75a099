//! `personaguard-operator uninstall`: removes what only the operator can remove, before it goes:
//! the finalizers of policies, without which a namespace could not end.

use crate::context::{ApiHealth, Metrics, election_client, fenced_client};
use crate::leader::Elector;
use anyhow::{Context as _, Result, bail};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{ListParams, Patch, PatchParams};
use kube::core::{ObjectMeta, PartialObjectMeta};
use kube::{Api, Client, Config, ResourceExt};
use personaguard_api::{PersonaPolicy, names};
use serde_json::json;
use std::time::Duration;

/// The operator's Deployment, as the chart has it.
const DEPLOYMENT: &str = "personaguard-operator";
/// For the operators to end, or their Lease to expire.
const LEASE_TIMEOUT: Duration = Duration::from_secs(90);
/// Policies of one page of a list.
const PAGE: u32 = 500;
/// How often a policy that changes meanwhile is tried again.
const ATTEMPTS: usize = 5;

/// Metadata are enough, so that policies of a newer version are no exception.
type Policies = Api<PartialObjectMeta<PersonaPolicy>>;

/// Stops the operator, takes its Lease, so that no other operator writes meanwhile, and removes the
/// finalizers.
pub(crate) async fn run(config: Config, namespace: &str) -> Result<()> {
    let client = election_client(config.clone())?;
    stop_operator(&client, namespace).await?;
    let leases: Api<Lease> = Api::namespaced(client, namespace);
    let mut elector = Elector::new(leases, "uninstall".to_owned());
    tokio::time::timeout(LEASE_TIMEOUT, elector.acquire()).await.context(
        "an operator still holds the Lease: stop every operator of this cluster, and try again",
    )?;
    let fenced = fenced_client(config, elector.fence(), ApiHealth::default())?;
    let (all, metrics) = (Api::all(fenced.clone()), Metrics::new());
    let result = tokio::select! {
        result = remove_finalizers(&all, &fenced) => result,
        lost = elector.hold(&metrics, || None) => Err(lost.into()),
    };
    elector.release().await;
    println!("finalizers removed: {}", result?);
    Ok(())
}

/// It would put the finalizers back.
async fn stop_operator(client: &Client, namespace: &str) -> Result<()> {
    let api: Api<Deployment> = Api::namespaced(client.clone(), namespace);
    let patch = Patch::Merge(json!({ "spec": { "replicas": 0 } }));
    match api.patch_scale(DEPLOYMENT, &PatchParams::default(), &patch).await {
        Ok(_) => println!("deployment {DEPLOYMENT}: scaled to 0"),
        Err(kube::Error::Api(status)) if status.code == 404 => {}
        Err(error) => return Err(error).context("scaling the operator to 0"),
    }
    Ok(())
}

/// Returns from how many policies they were removed.
async fn remove_finalizers(all: &Policies, client: &Client) -> Result<usize> {
    let mut removed = 0;
    let mut page = ListParams::default().limit(PAGE);
    loop {
        let list = match all.list_metadata(&page).await {
            // Without the kind there are no policies.
            Err(kube::Error::Api(status)) if status.code == 404 => return Ok(0),
            list => list.context("listing PersonaPolicies")?,
        };
        for policy in list.items.iter().filter(|policy| has_finalizer(&policy.metadata)) {
            let namespace = policy.namespace().unwrap_or_default();
            let api: Policies = Api::namespaced(client.clone(), &namespace);
            remove_finalizer(&api, &policy.name_any()).await.with_context(|| {
                format!("removing the finalizer of PersonaPolicy {namespace}/{}", policy.name_any())
            })?;
            removed += 1;
        }
        match list.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => page = page.continue_token(&token),
            None => return Ok(removed),
        }
    }
}

async fn remove_finalizer(api: &Policies, name: &str) -> Result<()> {
    for _ in 0..ATTEMPTS {
        let Some(policy) = api.get_metadata_opt(name).await? else { return Ok(()) };
        let others: Vec<_> =
            policy.finalizers().iter().filter(|it| *it != names::FINALIZER).collect();
        let version = &policy.metadata.resource_version;
        let patch = json!({ "metadata": { "resourceVersion": version, "finalizers": others } });
        match api.patch_metadata(name, &PatchParams::default(), &Patch::Merge(&patch)).await {
            Err(kube::Error::Api(status)) if status.code == 409 => {}
            Err(kube::Error::Api(status)) if status.code == 404 => return Ok(()),
            result => return result.map(drop).map_err(Into::into),
        }
    }
    bail!("it changes all the time")
}

fn has_finalizer(metadata: &ObjectMeta) -> bool {
    metadata.finalizers.iter().flatten().any(|name| name == names::FINALIZER)
}

#[cfg(test)]
mod tests;
