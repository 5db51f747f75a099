//! The files of a log: the one that is written, those that were rotated away, and the head.
//!
//! `audit.jsonl` is written; `audit.jsonl.000000000001` was, and begins with that line;
//! `audit.jsonl.head` says where the chain begins and ends.

use super::chain::Head;
use serde::{Deserialize, Serialize};
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// How much a log may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a file, after which the next begins.
    pub file_bytes: u64,
    /// Files that are kept, with the one that is written.
    pub files: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { file_bytes: 64 << 20, files: 8 }
    }
}

/// What the head file says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Ends {
    /// The first line that is still kept.
    pub(super) first: u64,
    /// The last line.
    pub(super) last: u64,
    /// Its hash.
    pub(super) hash: String,
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Reads the head file; none where there is none.
pub(super) fn read_ends(path: &Path) -> std::io::Result<Option<Ends>> {
    match std::fs::read(beside(path, ".head")) {
        Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Writes the head file as one step.
pub(super) fn write_ends(path: &Path, first: u64, head: &Head) -> std::io::Result<()> {
    let ends = Ends { first, last: head.seq, hash: head.hash.clone() };
    let new = beside(path, ".head.new");
    let mut file = std::fs::File::create(&new)?;
    file.write_all(&serde_json::to_vec(&ends)?)?;
    std::fs::rename(new, beside(path, ".head"))
}

/// Name of a file that was rotated away and begins with line `first`.
pub(super) fn rotated(path: &Path, first: u64) -> PathBuf {
    beside(path, &format!(".{first:012}"))
}

/// Files that were rotated away, oldest first, with the number of their first line.
pub(super) fn older(path: &Path) -> std::io::Result<Vec<(u64, PathBuf)>> {
    let folder =
        path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
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
