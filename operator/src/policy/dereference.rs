//! Step 1: everything that the policies of a scope refer to, and everything that exists of it.

mod failed_creations;
mod vanished;

use super::memory::{Memory, Objects};
use super::stored::Stored;
use crate::certs::TrustBundle;
use crate::context::{Context, Unreadable};
use crate::fleet::Fleet;
use crate::keys::{Kind, ObjectName, Scope};
use crate::objects::{FailedCreation, PodView, ServiceView};
use crate::settings::Settings;
use crate::unreadable;
use crate::vector::{ArtifactCache, CheckedArtifact};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::core::ObjectMeta;
use personaguard_api::conditions::reason;
use personaguard_api::{PersonaInjection, PersonaModel, PersonaPolicy, PodCounts, names};
use personaguard_resolve::{Rejection, VectorInput};
use personaguard_wire::ResolvedPolicy;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

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
    /// Metadata of policies that are being deleted, also of such as cannot be read.
    pub(crate) deleted_policies: Vec<ObjectMeta>,
    /// Policies of the namespace that use another model and are not being deleted.
    pub(crate) others: Vec<Arc<PersonaPolicy>>,
    /// Policies of the namespace that are in force with another model, by UID.
    pub(crate) elsewhere: BTreeMap<String, Elsewhere>,
    /// What of the scope cannot be read, in sentences. While there is any, all stays as it is.
    pub(crate) unreadable: Vec<String>,
    /// Pods and Services of the namespace that cannot be read.
    pub(crate) unreadable_pods: Vec<Arc<Unreadable>>,
    pub(crate) unreadable_services: Vec<Arc<Unreadable>>,
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
    /// Config and injection that are in force.
    pub(crate) config_map: Option<Arc<ConfigMap>>,
    pub(crate) injection: Option<Arc<PersonaInjection>>,
    /// What the cluster holds in their place. It is the same, unless somebody else changed it.
    pub(crate) found: Objects,
    /// When to look again, because the cluster contradicts itself.
    pub(crate) look_again: Option<Duration>,
    /// Why nothing is injected in this namespace, if nothing is.
    pub(crate) exclusion: Option<String>,
}

/// A policy as it is in force with a model.
#[derive(Clone, Debug)]
pub(crate) struct Elsewhere {
    pub(crate) model: String,
    pub(crate) policy: ResolvedPolicy,
}

impl Inputs {
    /// UIDs of the policies that are being deleted.
    pub(crate) fn deleted_uids(&self) -> BTreeSet<String> {
        self.deleted_policies.iter().filter_map(|metadata| metadata.uid.clone()).collect()
    }

    /// The vectors whose files were read and checked.
    pub(crate) fn vector_inputs(&self) -> BTreeMap<String, VectorInput> {
        let checked = |(name, checked): (&String, &CheckedArtifact)| {
            Some((name.clone(), checked.as_ref().ok()?.input.clone()))
        };
        self.vectors.iter().filter_map(checked).collect()
    }

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
    memory: &Memory,
    scope: &Scope,
) -> kube::Result<Inputs> {
    let (stores, namespace) = (&context.stores, scope.namespace.as_str());
    let is_deleted = |policy: &Arc<PersonaPolicy>| policy.metadata.deletion_timestamp.is_some();
    let (deleted, policies): (Vec<_>, Vec<_>) =
        stores.policies_of(scope).into_iter().partition(is_deleted);
    let (gone, others): (Vec<_>, Vec<_>) =
        stores.policies_beside(scope).into_iter().partition(is_deleted);
    let name = names::for_model(&scope.model);
    let found = Objects {
        config_map: stores.config_maps.get(namespace, &name),
        injection: stores.injections.get(namespace, &name),
    };
    let unreadable = unreadable(context, scope, &name);
    let Objects { config_map, injection } = match unreadable.as_slice() {
        [] => memory.recall(scope, &found),
        // What cannot be read yet is not taken for what is not there.
        _ => memory.known(scope).unwrap_or_else(|| found.clone()),
    };
    let stored = Stored::read(config_map.as_deref());
    let unread = unread_policies(context, scope, &stored);
    let (unread_deleted, unread): (Vec<_>, Vec<_>) =
        unread.into_iter().partition(|policy| policy.is_being_deleted());
    let deleted = deleted.iter().chain(&gone).map(|policy| policy.metadata.clone());
    let mut pods = stores.pods.within(namespace);
    pods.retain(|pod| !pod.terminating);
    let failed_creations = failed_creations(context, namespace, &policies, &pods).await;
    let vanished = vanished::still_there(context, namespace, &stored).await;
    let look_again = (!vanished.is_empty()).then_some(vanished::CHECK_INTERVAL);
    let policies_unread = unread.iter().map(|policy| {
        let name = policy.metadata.name.as_deref().unwrap_or_default();
        unreadable::message(Kind::Policy, name, policy)
    });
    let unreadable = unreadable.into_iter().chain(policies_unread).chain(vanished).collect();
    Ok(Inputs {
        scope: scope.clone(),
        settings: Arc::clone(&context.settings),
        authorities: authorities(trust_bundle, config_map.as_deref()),
        model: stores.models.get("", &scope.model),
        vectors: vectors(context, artifacts, &policies).await?,
        policies,
        deleted_policies: deleted
            .chain(unread_deleted.iter().map(|policy| policy.metadata.clone()))
            .collect(),
        others,
        elsewhere: elsewhere(context, memory, scope),
        unreadable,
        unreadable_pods: stores.pods.unreadable_within(namespace),
        unreadable_services: stores.services.unreadable_within(namespace),
        pods,
        services: stores.services.within(namespace),
        failed_creations,
        reports: fleet.pods_within(namespace),
        config_map,
        injection,
        found,
        look_again,
        exclusion: stores.exclusion(namespace, &context.settings.installation.namespace),
    })
}

/// Until there are certificates, sidecars trust what they did.
fn authorities(trust_bundle: &TrustBundle, config_map: Option<&ConfigMap>) -> String {
    let known = || config_map?.data.as_ref()?.get(names::CA_FILE).cloned();
    Some(trust_bundle.pem()).filter(|pem| !pem.is_empty()).or_else(known).unwrap_or_default()
}

/// Policies that cannot be read and may belong to the scope: they name its model, or none that can
/// be read, or are in force in it.
fn unread_policies(context: &Context, scope: &Scope, stored: &Stored) -> Vec<Arc<Unreadable>> {
    let mut unread = context.stores.policies.unreadable_within(&scope.namespace);
    unread.retain(|policy| {
        policy.model().is_none_or(|model| model == scope.model)
            || stored.config().is_some_and(|stored| stored.has(policy.uid()))
    });
    unread
}

/// What of the scope cannot be read, apart from its policies, in sentences.
fn unreadable(context: &Context, scope: &Scope, name: &str) -> Vec<String> {
    let objects = [
        (Kind::Model, ObjectName::new("", &scope.model)),
        (Kind::Injection, ObjectName::new(&scope.namespace, name)),
        (Kind::ConfigMap, ObjectName::new(&scope.namespace, name)),
    ];
    let objects = objects.iter().filter_map(|(kind, name)| {
        let unread = context.stores.unreadable(*kind, name)?;
        Some(unreadable::message(*kind, &name.name, &unread))
    });
    objects.collect()
}

/// From the configs of the namespace's other models.
fn elsewhere(context: &Context, memory: &Memory, scope: &Scope) -> BTreeMap<String, Elsewhere> {
    let mut configs = BTreeMap::new();
    for map in context.stores.config_maps.within(&scope.namespace) {
        if let Some(other) = Scope::of_config(&map.metadata) {
            configs.insert(other, map);
        }
    }
    configs.extend(memory.configs_within(&scope.namespace));
    configs.remove(scope);
    let mut elsewhere = BTreeMap::new();
    for (Scope { model, .. }, map) in configs {
        if let Some(stored) = Stored::read(Some(&map)).config() {
            for policy in &stored.present.config.policies {
                let found = Elsewhere { model: model.clone(), policy: policy.clone() };
                elsewhere.insert(policy.uid.clone(), found);
            }
        }
    }
    elsewhere
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
        if let Some(unread) = context.stores.vectors.unreadable("", name) {
            let message = unreadable::message(Kind::Vector, name, &unread);
            vectors.insert(name.clone(), Err(Rejection::new(reason::UNREADABLE, message)));
        } else if let Some(vector) = context.stores.vectors.get("", name) {
            let model = context.stores.models.get("", &vector.spec.model);
            let checked = match artifacts.get(&vector, model.as_deref()).await {
                // One that this operator may not read holds up no other.
                Err(kube::Error::Api(status)) => {
                    let message = format!("its file cannot be read: {}", status.message);
                    Err(Rejection::new(reason::ARTIFACT_NOT_FOUND, message))
                }
                checked => checked?,
            };
            vectors.insert(name.clone(), checked);
        }
    }
    Ok(vectors)
}

#[cfg(test)]
mod tests;
