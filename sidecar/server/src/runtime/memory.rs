//! How much memory the container may use, how much it uses, and what of it the KV cache may take.

use std::fs;
use std::path::{Path, PathBuf};

/// The container's memory: its control group, by version 2 or 1, or else the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ContainerMemory {
    /// Most bytes that it may use.
    pub(super) limit: u64,
    /// The control group whose limit that is.
    group: Option<(PathBuf, Version)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    V1,
    V2,
}

impl Version {
    /// Names of the limit, of what is used, and of the part of it that is given up on demand.
    fn names(self) -> [&'static str; 3] {
        match self {
            Self::V1 => ["memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file "],
            Self::V2 => ["memory.max", "memory.current", "inactive_file "],
        }
    }
}

impl ContainerMemory {
    /// Looks below `root`, which is `/`. None where nothing can be read.
    pub(super) fn find(root: &Path) -> Option<Self> {
        let total = meminfo(root);
        let own = fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
        let groups = own.lines().filter_map(|line| {
            let mut parts = line.splitn(3, ':');
            let (_, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
            let path = path.trim_start_matches('/');
            match controllers {
                "" => Some((root.join("sys/fs/cgroup"), path, Version::V2)),
                _ if controllers.split(',').any(|name| name == "memory") => {
                    Some((root.join("sys/fs/cgroup/memory"), path, Version::V1))
                }
                _ => None,
            }
        });
        let limits = groups.flat_map(|(mount, path, version)| {
            // Limits of all groups above hold too. A container may see its own as the topmost.
            let folders: Vec<_> =
                Path::new(path).ancestors().map(|path| mount.join(path)).collect();
            folders.into_iter().filter_map(move |folder| {
                let text = fs::read_to_string(folder.join(version.names()[0])).ok()?;
                // `max` is no number.
                Some((text.trim().parse::<u64>().ok()?, folder, version))
            })
        });
        let lowest = limits
            .filter(|(limit, ..)| total.is_none_or(|total| *limit < total))
            .min_by_key(|(limit, ..)| *limit);
        match lowest {
            Some((limit, folder, version)) => Some(Self { limit, group: Some((folder, version)) }),
            None => Some(Self { limit: total?, group: None }),
        }
    }

    /// Bytes in use that are not given up on demand, as the kubelet counts them. None where there
    /// is no limit of its own, or nothing can be read.
    pub(super) fn working_set(&self) -> Option<u64> {
        let (folder, version) = self.group.as_ref()?;
        let [_, current, inactive] = version.names();
        let used: u64 = fs::read_to_string(folder.join(current)).ok()?.trim().parse().ok()?;
        let stat = fs::read_to_string(folder.join("memory.stat")).ok()?;
        let inactive = stat.lines().find_map(|line| line.strip_prefix(inactive)?.parse().ok());
        Some(used.saturating_sub(inactive.unwrap_or(0)))
    }
}

/// Bytes of the machine's memory.
fn meminfo(root: &Path) -> Option<u64> {
    kibibytes(&fs::read_to_string(root.join("proc/meminfo")).ok()?, "MemTotal:")
}

/// Bytes that this process has allocated and touched.
pub(super) fn anonymous(root: &Path) -> Option<u64> {
    kibibytes(&fs::read_to_string(root.join("proc/self/status")).ok()?, "RssAnon:")
}

fn kibibytes(text: &str, field: &str) -> Option<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix(field))?;
    let number: u64 = value.trim().strip_suffix("kB")?.trim().parse().ok()?;
    number.checked_mul(1024)
}

/// What the KV cache's budget follows from, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Needs {
    /// What the container may use.
    pub(super) limit: u64,
    /// What the process has already, weights included and without a KV cache.
    pub(super) taken: u64,
    /// What it needs to work beside the KV cache.
    pub(super) working: u64,
    /// KV cache for all requests that may run, at full length.
    pub(super) full: u64,
    /// The least KV cache with which anything can be answered.
    pub(super) least: u64,
}

impl Needs {
    /// Bytes for the KV cache: what is left of the limit, of which an eighth stays free, and no
    /// more than is ever needed. The second value is false if that is not even the least.
    pub(super) fn kv_budget(self) -> (u64, bool) {
        let left =
            (self.limit - self.limit / 8).saturating_sub(self.taken).saturating_sub(self.working);
        let least = self.least.min(self.full);
        (left.clamp(least, self.full.max(least)), left >= least)
    }
}

/// What is needed for a batch of the model, its logits, samplers, and bodies.
pub(super) fn working_bytes(
    hidden_size: usize,
    vocab_size: usize,
    max_concurrent: usize,
    bodies: usize,
) -> u64 {
    /// Tokens of a batch, and numbers of a token's activations beside the hidden state, for the
    /// widest models that are served.
    const ROWS: usize = 512;
    const WIDTHS: usize = 16;
    /// Tokens whose logits are computed together, and what sampling takes beside them.
    const LOGIT_ROWS: usize = 16;
    const SAMPLER: usize = 4;
    let batch = (ROWS * WIDTHS * size_of::<f32>()).saturating_mul(hidden_size);
    let rows = LOGIT_ROWS.saturating_add(max_concurrent.saturating_mul(SAMPLER));
    let logits = rows.saturating_mul(vocab_size).saturating_mul(size_of::<f32>());
    batch.saturating_add(logits).saturating_add(bodies) as u64
}

#[cfg(test)]
mod tests;
