//! `personaguard-operator check`: whether the cluster has everything that Personaguard needs.

use crate::leader::LEASE;
use anyhow::{Result, bail, ensure};
use backon::{ConstantBuilder, Retryable};
use jiff::Timestamp;
use k8s_openapi::api::admissionregistration::v1::{
    MutatingAdmissionPolicy, MutatingAdmissionPolicyBinding,
};
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use kube::{Api, Client};
use personaguard_api::API_VERSION;
use std::time::Duration;

/// Name of the injection policy and of its binding.
const INJECTION_POLICY: &str = "personaguard";
const KINDS: [&str; 5] =
    ["PersonaModel", "PersonaVector", "PersonaPolicy", "PersonaReport", "PersonaInjection"];
/// How long an operator may take to lead after an installation.
const WAIT_FOR_LEADER: ConstantBuilder =
    ConstantBuilder::new().with_delay(Duration::from_secs(1)).with_max_times(60);
/// A Lease that was not renewed for so long has no holder any more.
const STALE_SECONDS: i64 = 60;

pub(crate) async fn run(client: Client, namespace: &str) -> Result<()> {
    let version = client.apiserver_version().await?.git_version;
    println!("API server {version}");
    check_injection(&client, &version).await?;
    check_kinds(&client).await?;
    let leader = wait_for_leader(&client, namespace).await?;
    println!("leader: {leader}");
    Ok(())
}

async fn check_injection(client: &Client, version: &str) -> Result<()> {
    let policies: Api<MutatingAdmissionPolicy> = Api::all(client.clone());
    if policies.get_opt(INJECTION_POLICY).await?.is_none() {
        // Either the kind is missing, or the object.
        ensure!(
            serves(client, "admissionregistration.k8s.io/v1", "MutatingAdmissionPolicy").await?,
            "API server {version} does not serve MutatingAdmissionPolicy v1, which injects the \
             sidecars: Kubernetes 1.36 or newer is needed"
        );
        bail!(
            "the MutatingAdmissionPolicy `{INJECTION_POLICY}` is missing, so no pod is injected: \
             install the chart personaguard"
        );
    }
    println!("injection policy `{INJECTION_POLICY}`: found");
    let bindings: Api<MutatingAdmissionPolicyBinding> = Api::all(client.clone());
    ensure!(
        bindings.get_opt(INJECTION_POLICY).await?.is_some(),
        "the MutatingAdmissionPolicyBinding `{INJECTION_POLICY}` is missing, so no pod is \
         injected: install the chart personaguard"
    );
    println!("its binding: found");
    Ok(())
}

async fn check_kinds(client: &Client) -> Result<()> {
    for kind in KINDS {
        ensure!(
            serves(client, API_VERSION, kind).await?,
            "the API server does not serve {API_VERSION} {kind}: install the chart \
             personaguard-crds"
        );
    }
    println!("kinds: served");
    Ok(())
}

async fn serves(client: &Client, version: &str, kind: &str) -> Result<bool> {
    match client.list_api_group_resources(version).await {
        Ok(list) => Ok(list.resources.iter().any(|resource| resource.kind == kind)),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(false),
        Err(error) => Err(error.into()),
    }
}

#[derive(Debug, thiserror::Error)]
enum LeaderError {
    #[error(
        "no operator leads (Lease {0}/{LEASE}), so policies and reports are not updated: \
         kubectl -n {0} logs deployment/personaguard-operator"
    )]
    NoLeader(String),
    #[error(transparent)]
    Api(#[from] kube::Error),
}

async fn wait_for_leader(client: &Client, namespace: &str) -> Result<String, LeaderError> {
    let api: Api<Lease> = Api::namespaced(client.clone(), namespace);
    let find = || async {
        let spec = api.get_opt(LEASE).await?.and_then(|lease| lease.spec).unwrap_or_default();
        holder(spec).ok_or_else(|| LeaderError::NoLeader(namespace.to_owned()))
    };
    find.retry(WAIT_FOR_LEADER).when(|error| matches!(error, LeaderError::NoLeader(_))).await
}

/// The holder of a Lease that was renewed recently.
fn holder(spec: LeaseSpec) -> Option<String> {
    let age = Timestamp::now().as_second() - spec.renew_time?.0.as_second();
    spec.holder_identity.filter(|holder| !holder.is_empty() && age < STALE_SECONDS)
}
