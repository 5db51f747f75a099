//! The files of a log. `audit.jsonl` is being written; `audit.jsonl.000000000001` was rotated away,
//! and begins with the line of that number; `audit.jsonl.head` says where the chain begins and
//! ends; `audit.jsonl.damaged.000000000009` was moved aside when the line of that number was
//! written.

use super::chain::{Head, MAX_SEQ, is_hash};
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

impl Ends {
    /// The last line.
    pub(super) fn head(&self) -> Head {
        Head { seq: self.last, hash: self.hash.clone() }
    }

    fn are_plausible(&self) -> bool {
        (1..=MAX_SEQ).contains(&self.last) && self.first > 0 && is_hash(&self.hash)
    }
}

/// What the head file says.
#[derive(Debug)]
pub(super) enum HeadFile {
    Missing,
    /// It is damaged.
    Unreadable,
    Ends(Ends),
}

impl HeadFile {
    pub(super) fn ends(&self) -> Option<&Ends> {
        if let Self::Ends(ends) = self { Some(ends) } else { None }
    }
}

/// Reads the head file.
pub(super) fn read_head_file(path: &Path) -> std::io::Result<HeadFile> {
    match std::fs::read(beside(path, ".head")) {
        Ok(bytes) => Ok(serde_json::from_slice(&bytes)
            .ok()
            .filter(Ends::are_plausible)
            .map_or(HeadFile::Unreadable, HeadFile::Ends)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(HeadFile::Missing),
        Err(error) => Err(error),
    }
}

/// Writes the head file in one step. What it says is on disk when this returns; a crash leaves the
/// old one or the new one.
pub(super) fn write_ends(path: &Path, first: u64, head: &Head) -> std::io::Result<()> {
    let ends = Ends { first, last: head.seq, hash: head.hash.clone() };
    let new = beside(path, ".head.new");
    let mut file = std::fs::File::create(&new)?;
    file.write_all(&serde_json::to_vec(&ends)?)?;
    file.sync_data()?;
    std::fs::rename(new, beside(path, ".head"))
}

/// The name of a file that is about to take the place of the one that is being written.
pub(super) fn next_name(path: &Path) -> PathBuf {
    beside(path, ".next")
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

/// The oldest rotated files, without which `keep` are left including the one that is being written;
/// and the first line of the oldest rotated file that is left.
pub(super) fn surplus(path: &Path, keep: usize) -> std::io::Result<(Vec<PathBuf>, Option<u64>)> {
    let mut rotated = rotated_files(path)?;
    let surplus = (rotated.len() + 1).saturating_sub(keep.max(1)).min(rotated.len());
    let left = rotated.split_off(surplus);
    let oldest = left.first().map(|(first, _)| *first);
    Ok((rotated.into_iter().map(|(_, file)| file).collect(), oldest))
}

/// Moves files aside as they are, under names that say at which line, and keeps at most `keep` of
/// all that ever were. Returns the new names of those that are kept.
pub(super) fn set_aside(
    path: &Path,
    files: &[PathBuf],
    seq: u64,
    keep: usize,
) -> std::io::Result<Vec<PathBuf>> {
    let mut moved = Vec::new();
    for file in files {
        let suffix = file.as_os_str().to_string_lossy();
        let suffix = suffix.strip_prefix(&*path.as_os_str().to_string_lossy()).unwrap_or_default();
        let name = format!("{DAMAGED}{seq:012}{suffix}");
        let free = |name: &String| !beside(path, name).exists();
        let numbered = (2..).map(|number| format!("{name}.{number}"));
        let Some(name) = std::iter::once(name.clone()).chain(numbered).find(free) else { continue };
        std::fs::rename(file, beside(path, &name))?;
        moved.push(beside(path, &name));
    }
    let all = set_aside_files(path)?;
    for file in &all[..all.len().saturating_sub(keep.max(1))] {
        std::fs::remove_file(file)?;
        tracing::warn!(file = %file.display(), "a log that was moved aside earlier was removed");
    }
    moved.retain(|file| file.exists());
    Ok(moved)
}

/// Between a log's name and what a file is called that was moved aside.
const DAMAGED: &str = ".damaged.";

/// Files that were moved aside, oldest first.
fn set_aside_files(path: &Path) -> std::io::Result<Vec<PathBuf>> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let prefix = format!("{}{DAMAGED}", path.file_name().unwrap_or_default().to_string_lossy());
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder.unwrap_or(Path::new(".")))? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(&prefix) {
            files.push(entry.path());
        }
    }
    files.sort();
    Ok(files)
}
