//! Noticing that a config folder changed, without reading it.

use super::source::Source;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// What a folder looks like from outside: it differs whenever the content does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fingerprint(Vec<FileStamp>);

/// Path, length and time of change.
type FileStamp = (PathBuf, u64, Option<SystemTime>);

/// The fingerprint of the config folder and the pod's labels. A folder that does not exist has one
/// too.
#[must_use]
pub fn fingerprint(source: &Source) -> Fingerprint {
    let folder = resolve(&source.folder);
    let mut files: Vec<_> = match std::fs::read_dir(&folder) {
        Ok(entries) => entries.flatten().map(|entry| stamp(entry.path())).collect(),
        Err(_) => Vec::new(),
    };
    files.sort();
    // The kubelet gives its folder a new name with each change.
    files.push(stamp(folder));
    if let Some(labels) = &source.labels {
        files.push(stamp(std::fs::canonicalize(labels).unwrap_or_else(|_| labels.clone())));
    }
    Fingerprint(files)
}

fn stamp(path: PathBuf) -> FileStamp {
    let metadata = std::fs::metadata(&path).ok();
    let length = metadata.as_ref().map_or(0, std::fs::Metadata::len);
    (path, length, metadata.and_then(|metadata| metadata.modified().ok()))
}

/// The folder that the files are in at this moment. The kubelet changes a mounted ConfigMap by one
/// symbolic link, `..data`.
pub(super) fn resolve(folder: &Path) -> PathBuf {
    std::fs::canonicalize(folder.join("..data")).unwrap_or_else(|_| folder.to_owned())
}
