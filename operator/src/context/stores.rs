//! The stores of all kinds that the operator watches.

use super::store::Store;
use crate::keys::Scope;
use crate::objects::{PodView, ServiceView};
use k8s_openapi::api::core::v1::ConfigMap;
use personaguard_api::{
    DatasetScreen, PersonaInjection, PersonaModel, PersonaPolicy, PersonaReport, PersonaVector,
    names,
};
use std::collections::BTreeSet;
use std::sync::Arc;

/// What the API server holds, as far as the informers have seen.
#[derive(Debug, Default)]
pub(crate) struct Stores {
    pub(crate) models: Store<PersonaModel>,
    pub(crate) vectors: Store<PersonaVector>,
    pub(crate) policies: Store<PersonaPolicy>,
    pub(crate) reports: Store<PersonaReport>,
    pub(crate) screens: Store<DatasetScreen>,
    pub(crate) injections: Store<PersonaInjection>,
    /// Configs of sidecars only.
    pub(crate) config_maps: Store<ConfigMap>,
    pub(crate) pods: Store<PodView>,
    /// Services that select pods.
    pub(crate) services: Store<ServiceView>,
    /// Namespaces whose label turns injection off.
    pub(crate) excluded_namespaces: Store<()>,
}

impl Stores {
    /// Waits until every store has its first complete list.
    pub(crate) async fn synced(&self) {
        self.models.synced().await;
        self.vectors.synced().await;
        self.policies.synced().await;
        self.reports.synced().await;
        self.screens.synced().await;
        self.injections.synced().await;
        self.config_maps.synced().await;
        self.pods.synced().await;
        self.services.synced().await;
        self.excluded_namespaces.synced().await;
    }

    /// Why nothing is injected in a namespace, if nothing is. `own` is the operator's namespace.
    pub(crate) fn exclusion(&self, namespace: &str, own: &str) -> Option<String> {
        if names::EXCLUDED_NAMESPACES.contains(&namespace) || namespace == own {
            return Some(format!(
                "Nothing is ever injected in namespace {namespace}: apply the policy in the \
                 namespace of the chat service."
            ));
        }
        self.excluded_namespaces.get("", namespace).map(|_| {
            format!(
                "Namespace {namespace} is labelled {}=disabled: remove the label, or the policy.",
                names::INJECTION
            )
        })
    }

    /// Policies of a scope, ordered by name.
    pub(crate) fn policies_of(&self, scope: &Scope) -> Vec<Arc<PersonaPolicy>> {
        let mut policies = self.policies.within(&scope.namespace);
        policies.retain(|policy| policy.spec.model == scope.model);
        policies
    }

    /// Every scope that has a policy, or objects left over from one.
    pub(crate) fn scopes(&self) -> BTreeSet<Scope> {
        let policies = self.policies.all().into_iter().map(|policy| Scope::of_policy(&policy));
        let config_maps = self.config_maps.all();
        let injections = self.injections.all();
        let configs = config_maps.iter().filter_map(|map| Scope::of_labels(&map.metadata));
        let injections = injections.iter().filter_map(|object| Scope::of_labels(&object.metadata));
        policies.chain(configs).chain(injections).collect()
    }

    /// Scopes of a namespace that have a policy or a config.
    pub(crate) fn scopes_within(&self, namespace: &str) -> BTreeSet<Scope> {
        let policies = self.policies.within(namespace);
        let config_maps = self.config_maps.within(namespace);
        let policies = policies.iter().map(|policy| Scope::of_policy(policy));
        let configs = config_maps.iter().filter_map(|map| Scope::of_labels(&map.metadata));
        policies.chain(configs).collect()
    }
}
