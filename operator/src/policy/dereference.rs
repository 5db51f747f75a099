//! Step 1: everything that the policies of a scope refer to, and everything that exists of it.

mod failed_creations;

use crate::certs::TrustBundle;
use crate::context::Context;
use crate::fleet::Fleet;
use crate::keys::Scope;
use crate::objects::{FailedCreation, PodView, ServiceView};
use crate::settings::Settings;
use crate::vector::{ArtifactCache, CheckedArtifact};
use k8s_openapi::api::core::v1::ConfigMap;
use personaguard_api::{PersonaInjection, PersonaModel, PersonaPolicy, PodCounts, names};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What a reconciliation starts from.
#[derive(Debug)]
pub(crate) struct Inputs {
    pub(crate) scope: Scope,
    pub(crate) settings: Arc<Settings>,
    /// PEM bundle that sidecars are to trust.
    pub(crate) authorities: String,
    pub(crate) model: Option<Arc<PersonaModel>>,
    /// Policies to enforce, ordered by name.
    pub(crate) policies: Vec<Arc<PersonaPolicy>>,
    /// Policies that are being deleted.
    pub(crate) deleted_policies: Vec<Arc<PersonaPolicy>>,
    /// The vectors that policies list, as far as they exist.
    pub(crate) vectors: BTreeMap<String, CheckedArtifact>,
    /// Pods of the namespace that are not being deleted.
    pub(crate) pods: Vec<Arc<PodView>>,
    /// Services of the namespace that select pods.
    pub(crate) services: Vec<Arc<ServiceView>>,
    /// Workloads of the namespace whose pods are refused, where a policy has no pods.
    pub(crate) failed_creations: Vec<FailedCreation>,
    /// Last report of each pod of the namespace, by UID.
    pub(crate) reports: BTreeMap<String, PodCounts>,
    pub(crate) config_map: Option<Arc<ConfigMap>>,
    pub(crate) injection: Option<Arc<PersonaInjection>>,
    /// Why nothing is injected in this namespace, if nothing is.
    pub(crate) exclusion: Option<String>,
}

impl Inputs {
    /// Pods that run the sidecar of this scope.
    pub(crate) fn sidecar_pods(&self) -> impl Iterator<Item = &Arc<PodView>> {
        self.pods.iter().filter(|pod| pod.sidecar.as_deref() == Some(self.scope.model.as_str()))
    }
}

/// Fails if the API server cannot be asked for a vector file.
pub(super) async fn dereference(
    context: &Context,
    artifacts: &ArtifactCache,
    fleet: &Fleet,
    trust_bundle: &TrustBundle,
    scope: &Scope,
) -> kube::Result<Inputs> {
    let (stores, namespace) = (&context.stores, scope.namespace.as_str());
    let (deleted_policies, policies): (Vec<_>, Vec<_>) = stores
        .policies_of(scope)
        .into_iter()
        .partition(|policy| policy.metadata.deletion_timestamp.is_some());
    let name = names::for_model(&scope.model);
    let mut pods = stores.pods.within(namespace);
    pods.retain(|pod| !pod.terminating);
    let failed_creations = failed_creations(context, namespace, &policies, &pods).await;
    Ok(Inputs {
        scope: scope.clone(),
        settings: Arc::clone(&context.settings),
        authorities: trust_bundle.pem(),
        model: stores.models.get("", &scope.model),
        vectors: vectors(context, artifacts, &policies).await?,
        policies,
        deleted_policies,
        pods,
        services: stores.services.within(namespace),
        failed_creations,
        reports: fleet.pods_within(namespace),
        config_map: stores.config_maps.get(namespace, &name),
        injection: stores.injections.get(namespace, &name),
        exclusion: stores.exclusion(namespace, &context.settings.installation.namespace),
    })
}

async fn failed_creations(
    context: &Context,
    namespace: &str,
    policies: &[Arc<PersonaPolicy>],
    pods: &[Arc<PodView>],
) -> Vec<FailedCreation> {
    let without_pods = policies.iter().any(|policy| {
        let mut selected = pods.iter();
        !selected.any(|pod| personaguard_api::selects(&policy.spec.selector, &pod.labels))
    });
    match without_pods {
        true => failed_creations::look(&context.cluster.client, namespace).await,
        false => Vec::new(),
    }
}

async fn vectors(
    context: &Context,
    artifacts: &ArtifactCache,
    policies: &[Arc<PersonaPolicy>],
) -> kube::Result<BTreeMap<String, CheckedArtifact>> {
    let rules = policies.iter().flat_map(|policy| &policy.spec.traits);
    let listed: BTreeSet<&String> = rules.map(|rule| &rule.vector).collect();
    let mut vectors = BTreeMap::new();
    for name in listed {
        if let Some(vector) = context.stores.vectors.get("", name) {
            let model = context.stores.models.get("", &vector.spec.model);
            vectors.insert(name.clone(), artifacts.get(&vector, model.as_deref()).await?);
        }
    }
    Ok(vectors)
}
