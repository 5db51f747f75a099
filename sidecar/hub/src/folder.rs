//! The folder into which a model is fetched: what is recorded there, who writes, how much room
//! there is.

use crate::error::FetchError;
use crate::wanted::Wanted;
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The folder inside with records, the lock, and files that are not whole yet.
const WORK: &str = ".fetch";
const LOCK: &str = "lock";
/// How often it is looked whether another process has finished.
const LOOK: Duration = Duration::from_millis(500);

/// The folder into which a model is fetched.
#[derive(Clone, Debug)]
pub(crate) struct Folder {
    path: PathBuf,
}

/// What was fetched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) repo: String,
    pub(crate) revision: String,
    /// The commit that the revision was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) commit: Option<String>,
    /// Digest of the model, as a PersonaModel has it.
    pub(crate) sha256: String,
    pub(crate) files: Vec<FileRecord>,
}

/// A file that was fetched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FileRecord {
    pub(crate) name: String,
    pub(crate) bytes: u64,
    pub(crate) sha256: String,
}

/// While it lives, no other process fetches into the folder.
#[derive(Debug)]
pub(crate) struct Lock {
    /// The lock goes with it.
    _file: File,
    /// Whether the volume knows locks.
    pub(crate) holds: bool,
}

impl Folder {
    pub(crate) fn new(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    /// Makes it, with the folder for work in it.
    pub(crate) fn make(&self) -> Result<(), FetchError> {
        make(&self.path.join(WORK))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// A file of the model.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// A file that is not whole yet. Its name says of which version it is a part.
    pub(crate) fn partial(&self, name: &str, version: &str) -> PathBuf {
        self.path.join(WORK).join(format!("{}.{version}.partial", flat(name)))
    }

    /// Removes parts of other versions of a file.
    pub(crate) fn remove_other_parts(&self, name: &str, but: &Path) {
        let (start, Ok(entries)) = (format!("{}.", flat(name)), self.path.join(WORK).read_dir())
        else {
            return;
        };
        for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let rest = name.strip_prefix(&start).and_then(|rest| rest.strip_suffix(".partial"));
            if path != but && rest.is_some_and(|rest| !rest.contains('.')) {
                // What cannot be removed takes room, and nothing else.
                let _ = std::fs::remove_file(&path);
            }
        }
    }

    /// Puts a file that is whole in its place.
    pub(crate) fn place(&self, partial: &Path, name: &str) -> Result<(), FetchError> {
        let to = self.file(name);
        let folder = to.parent().unwrap_or(&self.path);
        make(folder)?;
        std::fs::rename(partial, &to).map_err(|error| FetchError::io(&to, "written", error))?;
        sync(folder)
    }

    /// What was fetched of this, if all of it is still there.
    pub(crate) fn record(&self, wanted: &Wanted) -> Option<Record> {
        let record = self.stored(wanted)?;
        let is_it = record.repo == wanted.repo() && record.revision == wanted.revision();
        let is_there = |file: &FileRecord| {
            std::fs::metadata(self.file(&file.name)).is_ok_and(|it| it.len() == file.bytes)
        };
        (is_it && record.files.iter().all(is_there)).then_some(record)
    }

    /// Another model's record in the place of this one's.
    pub(crate) fn other(&self, wanted: &Wanted) -> Option<Record> {
        let record = self.stored(wanted)?;
        let is_other = record.repo != wanted.repo() || record.revision != wanted.revision();
        is_other.then_some(record)
    }

    fn stored(&self, wanted: &Wanted) -> Option<Record> {
        serde_json::from_slice(&std::fs::read(self.record_path(wanted)).ok()?).ok()
    }

    pub(crate) fn set_record(&self, wanted: &Wanted, record: &Record) -> Result<(), FetchError> {
        let path = self.record_path(wanted);
        let new = path.with_extension("new");
        let write = || {
            std::fs::write(&new, serde_json::to_vec_pretty(record)?)?;
            File::open(&new)?.sync_all()?;
            std::fs::rename(&new, &path)
        };
        write().map_err(|error| FetchError::io(&path, "written", error))?;
        sync(&self.path.join(WORK))
    }

    fn record_path(&self, wanted: &Wanted) -> PathBuf {
        let name = wanted.file().map_or_else(|| "folder".to_owned(), |file| flat(file) + ".file");
        self.path.join(WORK).join(name + ".json")
    }

    /// Waits until no other process fetches into the folder; `waiting` is called once if one does.
    pub(crate) async fn lock(&self, waiting: impl FnOnce()) -> Result<Lock, FetchError> {
        let path = self.path.join(WORK).join(LOCK);
        let open = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
        let file = open.map_err(|error| FetchError::io(&path, "written", error))?;
        let mut waiting = Some(waiting);
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Lock { _file: file, holds: true }),
                Err(TryLockError::WouldBlock) => {}
                // Some network file systems know no locks.
                Err(TryLockError::Error(_)) => return Ok(Lock { _file: file, holds: false }),
            }
            if let Some(waiting) = waiting.take() {
                waiting();
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Bytes of files that are not whole yet.
    pub(crate) fn partial_bytes(&self) -> u64 {
        let entries = self.path.join(WORK).read_dir().into_iter().flatten().flatten();
        let parts = entries.filter(|it| it.file_name().to_string_lossy().ends_with(".partial"));
        parts.filter_map(|part| Some(part.metadata().ok()?.len())).sum()
    }

    /// Bytes that may still be written, if that is known.
    pub(crate) fn room(&self) -> Option<u64> {
        let found = rustix::fs::statvfs(&self.path).ok()?;
        Some(found.f_bavail.saturating_mul(found.f_frsize))
    }
}

/// Forgets what is recorded of a fetch, so that the next one looks at the files themselves, and
/// fetches again what is not as the hub has it. For weights that cannot be loaded.
pub fn distrust(folder: &Path, wanted: &Wanted) {
    // Without a record there is nothing to distrust.
    let _ = std::fs::remove_file(Folder::new(folder).record_path(wanted));
}

/// The name of a file in one piece. No two names of a repository give the same.
fn flat(name: &str) -> String {
    name.replace('%', "%25").replace('/', "%2F")
}

fn make(folder: &Path) -> Result<(), FetchError> {
    match std::fs::create_dir_all(folder) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => {
            Err(FetchError::io(folder, "made", error))
        }
        _ => Ok(()),
    }
}

/// Makes sure that the names in a folder survive a crash.
fn sync(folder: &Path) -> Result<(), FetchError> {
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    match synced {
        // Not every file system has this.
        Err(error) if error.kind() != ErrorKind::InvalidInput => {
            Err(FetchError::io(folder, "written", error))
        }
        _ => Ok(()),
    }
}
