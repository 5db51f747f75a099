//! How far running extractions are.

use personaguard_wire::ExtractionProgress;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Shards of one extraction, at most.
const MAX_SHARDS: u32 = 64;

/// What a pod does for an extraction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PodRole {
    /// Generates its part of the answers. The number is its completion index.
    Shard(u32),
    /// Makes the vector from all parts.
    Merge,
}

/// Progress by vector. Only in memory: the Jobs report to a new leader within seconds.
#[derive(Debug, Default)]
pub(super) struct Progress(Mutex<HashMap<String, Extraction>>);

#[derive(Debug, Default)]
struct Extraction {
    shards: BTreeMap<u32, ExtractionProgress>,
    /// What last kept a pod from getting on.
    trouble: Option<String>,
}

impl Progress {
    /// The progress of all shards together.
    pub(super) fn of(&self, vector: &str) -> Option<ExtractionProgress> {
        let add = |sum: ExtractionProgress, shard: &ExtractionProgress| ExtractionProgress {
            done: sum.done.saturating_add(shard.done),
            total: sum.total.saturating_add(shard.total),
        };
        let inner = self.lock();
        let shards = &inner.get(vector).filter(|it| !it.shards.is_empty())?.shards;
        Some(shards.values().fold(ExtractionProgress { done: 0, total: 0 }, add))
    }

    pub(super) fn record(&self, vector: &str, role: PodRole, progress: ExtractionProgress) {
        let mut inner = self.lock();
        let shards = &mut inner.entry(vector.to_owned()).or_default().shards;
        match role {
            PodRole::Shard(index) if index < MAX_SHARDS => drop(shards.insert(index, progress)),
            PodRole::Shard(_) => {}
            // The merge counts from zero.
            PodRole::Merge => *shards = BTreeMap::from([(0, progress)]),
        }
    }

    /// What last kept a pod of an extraction from getting on.
    pub(super) fn trouble(&self, vector: &str) -> Option<String> {
        self.lock().get(vector)?.trouble.clone()
    }

    pub(super) fn record_trouble(&self, vector: &str, trouble: String) {
        self.lock().entry(vector.to_owned()).or_default().trouble = Some(trouble);
    }

    pub(super) fn forget(&self, vector: &str) {
        self.lock().remove(vector);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Extraction>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
