//! What is due because an object changed.

use crate::context::{Change, Context};
use crate::fleet::Fleet;
use crate::keys::{Key, Kind, ObjectName, Scope};
use crate::objects::{PodView, ServiceView};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt;
use kube::core::ObjectMeta;
use personaguard_api::{
    DatasetScreen, PersonaInjection, PersonaModel, PersonaPolicy, PersonaReport, PersonaVector,
    Placement,
};
use std::collections::HashSet;
use std::sync::Arc;

pub(crate) struct Triggers {
    pub(crate) context: Arc<Context>,
    pub(crate) fleet: Arc<Fleet>,
}

#[allow(clippy::needless_pass_by_value, reason = "informers call them all with the same signature")]
impl Triggers {
    pub(super) fn model_changed(&self, change: Change<PersonaModel>) {
        let name = change.name.name;
        self.context.queue_vectors_of_model(&name);
        let spec = |model: &Option<Arc<PersonaModel>>| model.as_ref().map(|it| it.spec.clone());
        if spec(&change.before) != spec(&change.after) {
            self.context.queue_scopes_of_model(&name);
        }
        self.queue(Key::Model(name));
    }

    pub(super) fn vector_changed(&self, change: Change<PersonaVector>) {
        if concerns_policies(change.before.as_deref(), change.after.as_deref()) {
            for vector in [&change.before, &change.after].into_iter().flatten() {
                self.context.queue_scopes_of_model(&vector.spec.model);
                // A policy of another model may list it, too.
                self.queue_policies_that_list(&vector.name_any());
            }
        }
        self.queue(Key::Vector(change.name.name));
    }

    pub(super) fn policy_changed(&self, change: Change<PersonaPolicy>) {
        for policy in [&change.before, &change.after].into_iter().flatten() {
            self.queue(Key::Scope(Scope::of_policy(policy)));
        }
        let ObjectName { namespace, name } = &change.name;
        // An edit may have moved it from one model to another, whose sidecars run still.
        self.queue_scopes_within(namespace);
        if change.after.is_none() {
            self.context.metrics.remove_policy(namespace, name);
        }
        let relevant = |policy: &Option<Arc<PersonaPolicy>>| {
            let policy = policy.as_ref()?;
            Some((policy.spec.clone(), policy.metadata.deletion_timestamp.is_some()))
        };
        if relevant(&change.before) != relevant(&change.after) {
            self.queue_reports_within(namespace);
        }
    }

    pub(super) fn report_changed(&self, change: Change<PersonaReport>) {
        let Some(report) = &change.after else { return self.queue(Key::Report(change.name)) };
        // What it says is missing from the counts if it could not be read when this process began
        // to lead. Before that, everything is restored together.
        if change.unreadable_before.is_some() && self.context.stores.pods.is_synced() {
            self.fleet.restore(report);
            self.retire_gone();
        }
    }

    pub(super) fn screen_changed(&self, change: Change<DatasetScreen>) {
        self.queue(Key::Screen(change.name));
    }

    pub(super) fn injection_changed(&self, change: Change<PersonaInjection>) {
        if let Some(object) = change.after.or(change.before) {
            self.queue_scope_of(&object.metadata);
        }
    }

    pub(super) fn config_map_changed(&self, change: Change<ConfigMap>) {
        if let Some(object) = change.after.or(change.before) {
            self.queue_scope_of(&object.metadata);
        }
        // A policy that moved here from another model is withdrawn there once it is in force here.
        self.queue_scopes_within(&change.name.namespace);
    }

    pub(super) fn pod_changed(&self, change: Change<PodView>) {
        let namespace = &change.name.namespace;
        let Change { before, after, .. } = &change;
        // A pod that is gone, or was replaced by another of the same name.
        let gone = before
            .as_ref()
            .filter(|before| after.as_ref().is_none_or(|after| after.uid != before.uid));
        if let Some(gone) = gone {
            self.retire(gone);
        }
        let owner = after.as_ref().filter(|pod| pod.sidecar.is_some());
        if let Some(owner) = owner.and_then(|pod| pod.owner.clone()) {
            if !self.fleet.owner_is_known(&owner) {
                self.queue(Key::Owner { namespace: namespace.clone(), owner });
            } else if before.is_none() || gone.is_some() {
                self.queue_reports_within(namespace);
            }
        }
        self.queue_scopes_within(namespace);
    }

    /// In front of another server, a Service may bypass sidecars.
    pub(super) fn service_changed(&self, change: Change<ServiceView>) {
        for policy in self.context.stores.policies.within(&change.name.namespace) {
            if policy.spec.placement != Placement::Serve {
                self.queue(Key::Scope(Scope::of_policy(&policy)));
            }
        }
    }

    pub(super) fn namespace_changed(&self, change: Change<()>) {
        self.queue_scopes_within(&change.name.name);
    }
}

impl Triggers {
    /// An object can no longer be read, or can be again: it says so, and what depends on it is held
    /// or goes on.
    pub(super) fn readability_changed<V>(&self, kind: Kind, change: &Change<V>) {
        let ObjectName { namespace, name } = &change.name;
        match &change.unreadable {
            Some(unreadable) => tracing::error!(
                kind = kind.as_str(),
                namespace,
                name,
                error = unreadable.error,
                "an object cannot be read, so all that depends on it stays as it is"
            ),
            None => {
                tracing::info!(kind = kind.as_str(), namespace, name, "an object is read again");
            }
        }
        let count = self.context.stores.unreadable_count(kind);
        self.context.metrics.set_unreadable(kind.as_str(), count);
        self.queue(Key::Unreadable { kind, name: change.name.clone() });
        match kind {
            Kind::Model => {
                self.context.queue_scopes_of_model(name);
                self.context.queue_vectors_of_model(name);
                self.queue(Key::Model(name.clone()));
            }
            Kind::Vector => {
                self.queue_policies_that_list(name);
                self.queue(Key::Vector(name.clone()));
            }
            Kind::Report => self.queue(Key::Report(change.name.clone())),
            Kind::Screen => self.queue(Key::Screen(change.name.clone())),
            Kind::Policy
            | Kind::Injection
            | Kind::ConfigMap
            | Kind::Pod
            | Kind::Service
            | Kind::Namespace => {
                let namespace = if kind == Kind::Namespace { name } else { namespace };
                self.queue_scopes_within(namespace);
                self.queue_reports_within(namespace);
            }
        }
    }

    fn queue_policies_that_list(&self, vector: &str) {
        let lists = |policy: &Arc<PersonaPolicy>| {
            policy.spec.traits.iter().any(|rule| rule.vector == vector)
        };
        for policy in self.context.stores.policies.all().into_iter().filter(lists) {
            self.queue(Key::Scope(Scope::of_policy(&policy)));
        }
    }

    /// Retires pods that are known by a report and exist no more.
    pub(super) fn retire_gone(&self) {
        let pods = &self.context.stores.pods;
        let mut existing: HashSet<String> = pods.all().iter().map(|pod| pod.uid.clone()).collect();
        for name in pods.all_unreadable() {
            let unreadable = pods.unreadable(&name.namespace, &name.name);
            existing.extend(unreadable.map(|unreadable| unreadable.uid().to_owned()));
        }
        for (namespace, uid) in self.fleet.known_pods() {
            if !existing.contains(&uid) {
                self.fleet.retire_pod(&namespace, &uid);
            }
        }
    }

    fn retire(&self, pod: &PodView) {
        if let Some(report) = self.fleet.retire_pod(&pod.namespace, &pod.uid) {
            self.queue(report);
            if let Some(model) = pod.sidecar.clone() {
                self.queue(Key::Model(model));
            }
        }
    }

    fn queue_scope_of(&self, metadata: &ObjectMeta) {
        if let Some(scope) = Scope::of_labels(metadata) {
            self.queue(Key::Scope(scope));
        }
    }

    fn queue_scopes_within(&self, namespace: &str) {
        for scope in self.context.stores.scopes_within(namespace) {
            self.queue(Key::Scope(scope));
        }
    }

    fn queue_reports_within(&self, namespace: &str) {
        self.fleet.reports_within(namespace).into_iter().for_each(|key| self.queue(key));
    }

    fn queue(&self, key: Key) {
        self.context.queue.push(key);
    }
}

/// Whether a change of a vector can change what policies make of it. How far its extraction is,
/// which it says every few seconds, cannot.
fn concerns_policies(before: Option<&PersonaVector>, after: Option<&PersonaVector>) -> bool {
    let seen = |vector: &PersonaVector| {
        let mut status = vector.status.clone();
        if let Some(status) = &mut status {
            status.progress = None;
        }
        (vector.spec.clone(), status)
    };
    before.map(seen) != after.map(seen)
}

#[cfg(test)]
mod tests;
