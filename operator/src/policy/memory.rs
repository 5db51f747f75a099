//! What is in force, as this process knows it: what it found when it began to lead, and has written
//! since. What somebody else makes of the objects in the cluster does not change it.

use crate::keys::Scope;
use k8s_openapi::api::core::v1::ConfigMap;
use personaguard_api::PersonaInjection;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The objects of a scope.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Objects {
    pub(crate) config_map: Option<Arc<ConfigMap>>,
    pub(crate) injection: Option<Arc<PersonaInjection>>,
}

impl Objects {
    fn are_absent(&self) -> bool {
        self.config_map.is_none() && self.injection.is_none()
    }
}

#[derive(Debug, Default)]
pub(crate) struct Memory(Mutex<BTreeMap<Scope, Objects>>);

impl Memory {
    /// What is in force in a scope. At first sight that is what the cluster holds.
    pub(super) fn recall(&self, scope: &Scope, found: &Objects) -> Objects {
        self.lock().entry(scope.clone()).or_insert_with(|| found.clone()).clone()
    }

    /// The same, without taking anything over.
    pub(super) fn known(&self, scope: &Scope) -> Option<Objects> {
        self.lock().get(scope).cloned()
    }

    /// Configs of a namespace that are known, by the scope.
    pub(super) fn configs_within(&self, namespace: &str) -> BTreeMap<Scope, Arc<ConfigMap>> {
        let known = self.lock();
        let within = known.iter().filter(|(scope, _)| scope.namespace == namespace);
        within.filter_map(|(scope, it)| Some((scope.clone(), it.config_map.clone()?))).collect()
    }

    /// The config was written, or deleted.
    pub(super) fn config_is(&self, scope: &Scope, config_map: Option<Arc<ConfigMap>>) {
        self.change(scope, |known| known.config_map = config_map);
    }

    /// The injection was written, or deleted.
    pub(super) fn injection_is(&self, scope: &Scope, injection: Option<Arc<PersonaInjection>>) {
        self.change(scope, |known| known.injection = injection);
    }

    fn change(&self, scope: &Scope, change: impl FnOnce(&mut Objects)) {
        let mut all = self.lock();
        let known = all.entry(scope.clone()).or_default();
        change(known);
        if known.are_absent() {
            all.remove(scope);
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Scope, Objects>> {
        // Each method leaves the map valid after each statement.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
