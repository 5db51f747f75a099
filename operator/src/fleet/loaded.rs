//! Which weights sidecars have loaded. Pure.

use personaguard_api::{Digest, LoadedWeights, PodCounts, PodState};
use std::collections::BTreeMap;

/// Counts pods by the digest of the weights that they serve.
pub(crate) fn loaded<'a>(reports: impl Iterator<Item = &'a PodCounts>) -> Vec<LoadedWeights> {
    let mut pods: BTreeMap<&str, (&Digest, u32)> = BTreeMap::new();
    for report in reports.filter(|report| report.state == PodState::Ready) {
        if let Some(digest) = &report.model_digest {
            pods.entry(digest.as_str()).or_insert((digest, 0)).1 += 1;
        }
    }
    pods.into_values()
        .map(|(sha256, pods)| LoadedWeights { sha256: sha256.clone(), pods })
        .collect()
}
