//! The files of a log. `audit.jsonl` is being written; `audit.jsonl.000000000001` was rotated away,
//! and begins with the line of that number; `audit.jsonl.head` says where the chain begins and ends.

use super::chain::Head;
use serde::{Deserialize, Serialize};
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// How much a log may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogLimits {
    /// Bytes of a file after which the next one begins.
    pub file_bytes: u64,
    /// Files that are kept, including the one that is being written.
    pub files: usize,
}

impl Default for LogLimits {
    fn default() -> Self {
        Self { file_bytes: 64 << 20, files: 8 }
    }
}

/// Where the chain begins and ends, as the head file says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Ends {
    /// Number of the first line that is kept.
    pub(super) first: u64,
    /// Number of the last line.
    pub(super) last: u64,
    /// Hash of the last line.
    pub(super) hash: String,
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Reads the head file, if there is one.
pub(super) fn read_ends(path: &Path) -> std::io::Result<Option<Ends>> {
    match std::fs::read(beside(path, ".head")) {
        Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Writes the head file in one step.
pub(super) fn write_ends(path: &Path, first: u64, head: &Head) -> std::io::Result<()> {
    let ends = Ends { first, last: head.seq, hash: head.hash.clone() };
    let new = beside(path, ".head.new");
    let mut file = std::fs::File::create(&new)?;
    file.write_all(&serde_json::to_vec(&ends)?)?;
    std::fs::rename(new, beside(path, ".head"))
}

/// The name, once rotated away, of a file that begins with line `first`.
pub(super) fn rotated_name(path: &Path, first: u64) -> PathBuf {
    beside(path, &format!(".{first:012}"))
}

/// Files that were rotated away, oldest first, with the number of their first line.
pub(super) fn rotated_files(path: &Path) -> std::io::Result<Vec<(u64, PathBuf)>> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder.unwrap_or(Path::new(".")))? {
        let entry = entry?;
        let other = entry.file_name().to_string_lossy().into_owned();
        let number = other.strip_prefix(&name).and_then(|rest| rest.strip_prefix('.'));
        if let Some(first) = number.filter(|n| n.len() == 12).and_then(|n| n.parse().ok()) {
            files.push((first, entry.path()));
        }
    }
    files.sort();
    Ok(files)
}

/// Removes the oldest files, so that `keep` are left including the one that is being written.
/// Returns the first line of the oldest rotated file that is left.
pub(super) fn remove_oldest(path: &Path, keep: usize) -> std::io::Result<Option<u64>> {
    let rotated = rotated_files(path)?;
    let surplus = (rotated.len() + 1).saturating_sub(keep.max(1));
    for (_, file) in &rotated[..surplus] {
        std::fs::remove_file(file)?;
    }
    Ok(rotated.get(surplus).map(|(first, _)| *first))
}
