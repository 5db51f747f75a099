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

/// Progress by vector and shard. Only in memory: the Jobs report to a new leader within seconds.
#[derive(Debug, Default)]
pub(super) struct Progress(Mutex<HashMap<String, BTreeMap<u32, ExtractionProgress>>>);

impl Progress {
    /// The progress of all shards together.
    pub(super) fn of(&self, vector: &str) -> Option<ExtractionProgress> {
        let add = |sum: ExtractionProgress, shard: &ExtractionProgress| ExtractionProgress {
            done: sum.done.saturating_add(shard.done),
            total: sum.total.saturating_add(shard.total),
        };
        let inner = self.lock();
        let shards = inner.get(vector)?;
        Some(shards.values().fold(ExtractionProgress { done: 0, total: 0 }, add))
    }

    pub(super) fn record(&self, vector: &str, role: PodRole, progress: ExtractionProgress) {
        let mut inner = self.lock();
        let shards = inner.entry(vector.to_owned()).or_default();
        match role {
            PodRole::Shard(index) if index < MAX_SHARDS => drop(shards.insert(index, progress)),
            PodRole::Shard(_) => {}
            // The merge counts from zero.
            PodRole::Merge => *shards = BTreeMap::from([(0, progress)]),
        }
    }

    pub(super) fn forget(&self, vector: &str) {
        self.lock().remove(vector);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, BTreeMap<u32, ExtractionProgress>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
