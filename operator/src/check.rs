//! `personaguard-operator check`: whether the cluster has all that Personaguard needs.

use crate::leader::LEASE;
use anyhow::{Result, bail};
use jiff::Timestamp;
use k8s_openapi::api::admissionregistration::v1::{
    MutatingAdmissionPolicy, MutatingAdmissionPolicyBinding,
};
use k8s_openapi::api::coordination::v1::Lease;
use kube::{Api, Client};
use personaguard_api::API_VERSION;
use std::time::Duration;

/// Name of the injection policy and its binding.
const INJECTION: &str = "personaguard";
/// How long a leader may take to be there after an installation.
const PATIENCE: Duration = Duration::from_secs(60);
/// A Lease that was not renewed for so long is nobody's.
const STALE_SECONDS: i64 = 60;

pub(crate) async fn run(client: Client, namespace: &str) -> Result<()> {
    let version = client.apiserver_version().await?;
    println!("API server {}", version.git_version);
    let policies: Api<MutatingAdmissionPolicy> = Api::all(client.clone());
    match policies.get_opt(INJECTION).await {
        Ok(Some(_)) => println!("injection policy `{INJECTION}`: there"),
        Ok(None) => {
            // The kind may be missing, or the object.
            if !serves(&client, "admissionregistration.k8s.io/v1", "MutatingAdmissionPolicy")
                .await?
            {
                bail!(
                    "API server {} has no MutatingAdmissionPolicy v1, with which sidecars are injected: Kubernetes 1.36 or newer is needed",
                    version.git_version
                );
            }
            bail!(
                "the MutatingAdmissionPolicy `{INJECTION}` is missing, so no pod is injected: install the chart personaguard"
            );
        }
        Err(error) => return Err(error.into()),
    }
    let bindings: Api<MutatingAdmissionPolicyBinding> = Api::all(client.clone());
    if bindings.get_opt(INJECTION).await?.is_none() {
        bail!(
            "the MutatingAdmissionPolicyBinding `{INJECTION}` is missing, so no pod is injected: install the chart personaguard"
        );
    }
    println!("its binding: there");
    for kind in
        ["PersonaModel", "PersonaVector", "PersonaPolicy", "PersonaReport", "PersonaInjection"]
    {
        if !serves(&client, API_VERSION, kind).await? {
            bail!(
                "the API server does not serve {API_VERSION} {kind}: install the chart personaguard-crds"
            );
        }
    }
    println!("kinds: served");
    let holder = leader(&client, namespace).await?;
    println!("leader: {holder}");
    Ok(())
}

async fn serves(client: &Client, version: &str, kind: &str) -> Result<bool> {
    match client.list_api_group_resources(version).await {
        Ok(list) => Ok(list.resources.iter().any(|resource| resource.kind == kind)),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Waits a while for an operator that leads.
async fn leader(client: &Client, namespace: &str) -> Result<String> {
    let api: Api<Lease> = Api::namespaced(client.clone(), namespace);
    let start = std::time::Instant::now();
    loop {
        let spec = api.get_opt(LEASE).await?.and_then(|lease| lease.spec).unwrap_or_default();
        let renewed = spec.renew_time.map(|time| Timestamp::now().as_second() - time.0.as_second());
        match (spec.holder_identity.filter(|holder| !holder.is_empty()), renewed) {
            (Some(holder), Some(age)) if age < STALE_SECONDS => return Ok(holder),
            _ if start.elapsed() < PATIENCE => tokio::time::sleep(Duration::from_secs(1)).await,
            _ => bail!(
                "no operator leads (Lease {namespace}/{LEASE}), so policies and reports stand still: kubectl -n {namespace} logs deployment/personaguard-operator"
            ),
        }
    }
}
