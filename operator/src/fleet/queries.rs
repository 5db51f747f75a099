//! What others read of the fleet.

use super::state::{Fleet, Inner};
use super::workload::display_name;
use super::workload_state::WorkloadState;
use crate::keys::Key;
use personaguard_api::{Digest, PodCounts, TraitScores};
use personaguard_wire::Sample;
use std::collections::BTreeMap;

impl Fleet {
    /// Known pods: namespace and UID.
    pub(crate) fn known_pods(&self) -> Vec<(String, String)> {
        let inner = self.lock();
        let pods = inner.workloads.iter().flat_map(|(name, state)| {
            state.counts.pods().map(|pod| (name.namespace.clone(), pod.uid.clone()))
        });
        pods.collect()
    }

    /// Last push of each pod of a namespace, by UID.
    pub(crate) fn pods_within(&self, namespace: &str) -> BTreeMap<String, PodCounts> {
        let inner = self.lock();
        inner
            .within(namespace)
            .flat_map(|state| state.counts.pods())
            .map(|pod| (pod.uid.clone(), pod.clone()))
            .collect()
    }

    /// Scores of each workload of a namespace, by `Kind/name`.
    pub(crate) fn scores_within(&self, namespace: &str) -> BTreeMap<String, Vec<TraitScores>> {
        let inner = self.lock();
        inner
            .within(namespace)
            .map(|state| (display_name(&state.reference), state.counts.traits()))
            .collect()
    }

    /// Everything that the workloads of a namespace sampled for a trait on one basis.
    pub(crate) fn sample(
        &self,
        namespace: &str,
        policy: &str,
        vector: &str,
        basis: &Digest,
    ) -> Sample {
        let inner = self.lock();
        let mut merged = Sample::new(basis.clone());
        for state in inner.within(namespace) {
            merged.merge(&state.counts.sample(policy, vector, basis));
        }
        merged
    }

    /// Last push of each sidecar of a model, with its namespace.
    pub(crate) fn sidecars_of(&self, model: &str) -> Vec<(String, PodCounts)> {
        let inner = self.lock();
        let sidecars = inner.workloads.iter().flat_map(|(name, state)| {
            let pods = state.counts.pods().filter(|pod| pod.model == model);
            pods.map(|pod| (name.namespace.clone(), pod.clone()))
        });
        sidecars.collect()
    }

    /// Keys of the reports of a namespace.
    pub(crate) fn reports_within(&self, namespace: &str) -> Vec<Key> {
        let inner = self.lock();
        let names = inner.workloads.keys().filter(|name| name.namespace == namespace);
        names.cloned().map(Key::Report).collect()
    }
}

impl Inner {
    fn within(&self, namespace: &str) -> impl Iterator<Item = &WorkloadState> {
        self.workloads
            .iter()
            .filter(move |(name, _)| name.namespace == namespace)
            .map(|(_, state)| state)
    }
}
