//! The stores of all kinds that the operator watches.

use super::readable::Unreadable;
use super::store::Store;
use crate::keys::{Kind, ObjectName, Scope};
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
        policies.retain(|policy| policy.spec.model == scope.model && self.can_read(policy));
        policies
    }

    /// Policies of a scope's namespace that use another model, ordered by name.
    pub(crate) fn policies_beside(&self, scope: &Scope) -> Vec<Arc<PersonaPolicy>> {
        let mut policies = self.policies.within(&scope.namespace);
        policies.retain(|policy| policy.spec.model != scope.model && self.can_read(policy));
        policies
    }

    fn can_read(&self, policy: &PersonaPolicy) -> bool {
        let ObjectName { namespace, name } = ObjectName::of(policy);
        self.policies.unreadable(&namespace, &name).is_none()
    }

    /// Names of the objects of a kind that cannot be read.
    pub(crate) fn unreadable_of(&self, kind: Kind) -> Vec<ObjectName> {
        match kind {
            Kind::Policy => self.policies.all_unreadable(),
            Kind::Model => self.models.all_unreadable(),
            Kind::Vector => self.vectors.all_unreadable(),
            Kind::Report => self.reports.all_unreadable(),
            Kind::Screen => self.screens.all_unreadable(),
            Kind::Injection => self.injections.all_unreadable(),
            Kind::ConfigMap => self.config_maps.all_unreadable(),
            Kind::Pod => self.pods.all_unreadable(),
            Kind::Service => self.services.all_unreadable(),
            Kind::Namespace => self.excluded_namespaces.all_unreadable(),
        }
    }

    pub(crate) fn unreadable_count(&self, kind: Kind) -> usize {
        self.unreadable_of(kind).len()
    }

    /// Why an object cannot be read, if it cannot.
    pub(crate) fn unreadable(&self, kind: Kind, name: &ObjectName) -> Option<Arc<Unreadable>> {
        let ObjectName { namespace, name } = name;
        match kind {
            Kind::Policy => self.policies.unreadable(namespace, name),
            Kind::Model => self.models.unreadable(namespace, name),
            Kind::Vector => self.vectors.unreadable(namespace, name),
            Kind::Report => self.reports.unreadable(namespace, name),
            Kind::Screen => self.screens.unreadable(namespace, name),
            Kind::Injection => self.injections.unreadable(namespace, name),
            Kind::ConfigMap => self.config_maps.unreadable(namespace, name),
            Kind::Pod => self.pods.unreadable(namespace, name),
            Kind::Service => self.services.unreadable(namespace, name),
            Kind::Namespace => self.excluded_namespaces.unreadable(namespace, name),
        }
    }

    /// Every scope that has a policy, or objects left over from one.
    pub(crate) fn scopes(&self) -> BTreeSet<Scope> {
        let unread = self.policies.all_unreadable().into_iter();
        let unread = unread.filter_map(|it| self.policies.unreadable(&it.namespace, &it.name));
        Self::scopes_of(
            &self.policies.all(),
            &unread.collect::<Vec<_>>(),
            &self.config_maps.all(),
            &self.injections.all(),
        )
    }

    /// Scopes of a namespace that have a policy, or objects left over from one.
    pub(crate) fn scopes_within(&self, namespace: &str) -> BTreeSet<Scope> {
        Self::scopes_of(
            &self.policies.within(namespace),
            &self.policies.unreadable_within(namespace),
            &self.config_maps.within(namespace),
            &self.injections.within(namespace),
        )
    }

    fn scopes_of(
        policies: &[Arc<PersonaPolicy>],
        unread: &[Arc<Unreadable>],
        config_maps: &[Arc<ConfigMap>],
        injections: &[Arc<PersonaInjection>],
    ) -> BTreeSet<Scope> {
        let policies = policies.iter().map(|policy| Scope::of_policy(policy));
        let unread = unread.iter().filter_map(|policy| {
            let namespace = policy.metadata.namespace.clone()?;
            Some(Scope { namespace, model: policy.model()?.to_owned() })
        });
        let configs = config_maps.iter().filter_map(|map| Scope::of_labels(&map.metadata));
        let injections = injections.iter().filter_map(|object| Scope::of_labels(&object.metadata));
        policies.chain(unread).chain(configs).chain(injections).collect()
    }
}
