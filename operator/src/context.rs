//! What every part of the operator shares.

use crate::alerts::Alerts;
use crate::artefact::Artefacts;
use crate::cache::Cache;
use crate::cluster::Cluster;
use crate::events::Events;
use crate::fleet::Fleet;
use crate::metrics::Metrics;
use crate::pods::PodView;
use crate::policy::Withdrawals;
use crate::queue::Queue;
use crate::services::ServiceView;
use crate::settings::Settings;
use crate::vector::extraction::Extractions;
use k8s_openapi::api::core::v1::ConfigMap;
use personaguard_api::{
    DatasetScreen, PersonaInjection, PersonaModel, PersonaPolicy, PersonaReport, PersonaVector,
    names,
};
use std::sync::{Arc, PoisonError, RwLock};

/// The policies of one namespace that use one model.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Scope {
    pub(crate) namespace: String,
    pub(crate) model: String,
}

/// Something that may differ from what it should be.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Key {
    /// Config, injection, and the status of each policy.
    Scope(Scope),
    /// Status of a `PersonaVector`.
    Vector(String),
    /// Status of a `PersonaModel`.
    Model(String),
    /// A `DatasetScreen`, by namespace and name.
    Screen(String, String),
    /// A `PersonaReport`, by namespace and name.
    Report(String, String),
    /// The workload that a controller of pods belongs to.
    Owner(String, crate::pods::Owner),
}

impl Key {
    /// For metrics and logs.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Scope(_) => "PersonaPolicy",
            Self::Vector(_) => "PersonaVector",
            Self::Model(_) => "PersonaModel",
            Self::Screen(..) => "DatasetScreen",
            Self::Report(..) | Self::Owner(..) => "PersonaReport",
        }
    }
}

/// What the API server holds, as far as the watches have told.
#[derive(Debug, Default)]
pub(crate) struct World {
    pub(crate) models: Cache<PersonaModel>,
    pub(crate) vectors: Cache<PersonaVector>,
    pub(crate) policies: Cache<PersonaPolicy>,
    pub(crate) reports: Cache<PersonaReport>,
    pub(crate) screens: Cache<DatasetScreen>,
    pub(crate) injections: Cache<PersonaInjection>,
    /// Configs of sidecars only.
    pub(crate) config_maps: Cache<ConfigMap>,
    pub(crate) pods: Cache<PodView>,
    /// Services that select pods.
    pub(crate) services: Cache<ServiceView>,
    /// Namespaces that are labelled to stay out.
    pub(crate) muted: Cache<()>,
}

impl World {
    /// Why nothing is injected in a namespace.
    pub(crate) fn excluded(&self, namespace: &str, own: &str) -> Option<String> {
        if names::EXCLUDED_NAMESPACES.contains(&namespace) || namespace == own {
            return Some(format!(
                "Nothing is ever injected in namespace {namespace}: apply the policy where the chat service runs."
            ));
        }
        self.muted.get("", namespace).map(|_| {
            format!(
                "Namespace {namespace} is labelled {}=disabled: remove the label, or the policy.",
                names::INJECTION
            )
        })
    }

    /// Policies of a scope, in order of their names.
    pub(crate) fn policies(&self, scope: &Scope) -> Vec<Arc<PersonaPolicy>> {
        let mut policies = self.policies.within(&scope.namespace);
        policies.retain(|policy| policy.spec.model == scope.model);
        policies
    }
}

pub(crate) struct Context {
    pub(crate) settings: Settings,
    pub(crate) cluster: Cluster,
    pub(crate) world: World,
    pub(crate) queue: Queue<Key>,
    pub(crate) fleet: Fleet,
    pub(crate) artefacts: Artefacts,
    pub(crate) extractions: Extractions,
    pub(crate) events: Events,
    pub(crate) alerts: Alerts,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) withdrawals: Withdrawals,
    /// PEM bundle of the authorities that sidecars are to trust.
    pub(crate) authorities: RwLock<String>,
}

impl Context {
    pub(crate) fn authorities(&self) -> String {
        self.authorities.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Every scope there is something to do for: with a policy, or with a config that is left.
    pub(crate) fn scopes(&self) -> std::collections::BTreeSet<Scope> {
        let policies = self.world.policies.all().into_iter().map(|policy| Scope {
            namespace: policy.metadata.namespace.clone().unwrap_or_default(),
            model: policy.spec.model.clone(),
        });
        let configs =
            self.world.config_maps.all().into_iter().filter_map(|map| scope_of(&map.metadata));
        let injections =
            self.world.injections.all().into_iter().filter_map(|object| scope_of(&object.metadata));
        policies.chain(configs).chain(injections).collect()
    }

    /// The scopes of a namespace.
    pub(crate) fn scopes_within(&self, namespace: &str) -> impl Iterator<Item = Scope> {
        let policies = self
            .world
            .policies
            .within(namespace)
            .into_iter()
            .map(|policy| policy.spec.model.clone());
        let configs = self
            .world
            .config_maps
            .within(namespace)
            .into_iter()
            .filter_map(|map| Some(scope_of(&map.metadata)?.model));
        let models: std::collections::BTreeSet<String> = policies.chain(configs).collect();
        let namespace = namespace.to_owned();
        models.into_iter().map(move |model| Scope { namespace: namespace.clone(), model })
    }

    pub(crate) fn push_scopes_of_model(&self, model: &str) {
        for scope in self.scopes().into_iter().filter(|scope| scope.model == model) {
            self.queue.push(Key::Scope(scope));
        }
    }
}

/// The scope that an object of the operator's is for.
pub(crate) fn scope_of(metadata: &kube::core::ObjectMeta) -> Option<Scope> {
    let model = metadata.labels.as_ref()?.get(names::MODEL_LABEL)?.clone();
    Some(Scope { namespace: metadata.namespace.clone()?, model })
}
