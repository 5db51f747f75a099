//! Step 1: everything that the policies of a scope name, and everything that is there of it.

use crate::artefact::Artefact;
use crate::context::{Context, Scope};
use crate::pods::PodView;
use crate::services::ServiceView;
use k8s_openapi::api::core::v1::ConfigMap;
use personaguard_api::{PersonaInjection, PersonaModel, PersonaPolicy, PodCounts};
use personaguard_resolve::Rejection;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What a reconciliation starts from.
#[derive(Debug)]
pub(crate) struct Inputs {
    pub(crate) scope: Scope,
    pub(crate) model: Option<Arc<PersonaModel>>,
    /// Policies that are to be enforced, by name.
    pub(crate) policies: Vec<Arc<PersonaPolicy>>,
    /// Policies that are being deleted.
    pub(crate) leaving: Vec<Arc<PersonaPolicy>>,
    /// Vectors that exist, of those that are named.
    pub(crate) vectors: BTreeMap<String, Result<Arc<Artefact>, Rejection>>,
    /// Pods of the namespace that are not being deleted.
    pub(crate) pods: Vec<Arc<PodView>>,
    /// Services of the namespace that select pods.
    pub(crate) services: Vec<Arc<ServiceView>>,
    /// Last report of each pod of the namespace, by UID.
    pub(crate) reports: BTreeMap<String, PodCounts>,
    pub(crate) config_map: Option<Arc<ConfigMap>>,
    pub(crate) injection: Option<Arc<PersonaInjection>>,
    /// Why nothing is injected in this namespace, if nothing is.
    pub(crate) excluded: Option<String>,
}

impl Inputs {
    /// Pods that run the sidecar of this scope.
    pub(crate) fn guarded_pods(&self) -> impl Iterator<Item = &Arc<PodView>> {
        self.pods.iter().filter(|pod| pod.sidecar.as_deref() == Some(self.scope.model.as_str()))
    }
}

pub(super) async fn dereference(context: &Context, scope: &Scope) -> kube::Result<Inputs> {
    let world = &context.world;
    let (leaving, policies): (Vec<_>, Vec<_>) = world
        .policies(scope)
        .into_iter()
        .partition(|policy| policy.metadata.deletion_timestamp.is_some());
    let named: BTreeSet<&String> =
        policies.iter().flat_map(|policy| &policy.spec.traits).map(|rule| &rule.vector).collect();
    let mut vectors = BTreeMap::new();
    for name in named {
        if let Some(vector) = world.vectors.get("", name) {
            let model = world.models.get("", &vector.spec.model);
            vectors.insert(name.clone(), context.artefacts.of(&vector, model.as_deref()).await?);
        }
    }
    let name = personaguard_api::names::for_model(&scope.model);
    let mut pods = world.pods.within(&scope.namespace);
    pods.retain(|pod| !pod.terminating);
    Ok(Inputs {
        model: world.models.get("", &scope.model),
        policies,
        leaving,
        vectors,
        pods,
        services: world.services.within(&scope.namespace),
        reports: context.fleet.reports_within(&scope.namespace),
        config_map: world.config_maps.get(&scope.namespace, &name),
        injection: world.injections.get(&scope.namespace, &name),
        excluded: world.excluded(&scope.namespace, &context.settings.place.namespace),
        scope: scope.clone(),
    })
}
