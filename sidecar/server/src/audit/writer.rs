//! Appending to a log's file, and rotating it.

use super::chain::{self, Head};
use super::files::{
    Ends, HeadFile, LogLimits, next_name, read_head_file, rotated_name, surplus, write_ends,
};
use super::gap::Gap;
use super::start::{Start, start};
use jiff::Timestamp;
use serde_json::Value;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// Why a log cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("{} cannot be used as a log", path.display())]
pub struct LogError {
    /// The file.
    pub path: PathBuf,
    /// The system's reason.
    pub source: std::io::Error,
}

/// Appends lines to a log's file, and rotates it.
#[derive(Debug)]
pub(super) struct LogWriter {
    path: PathBuf,
    limits: LogLimits,
    file: File,
    /// Length of the file in bytes.
    length: u64,
    head: Head,
    /// Number of the file's first line.
    first_in_file: u64,
    /// Number of the first line that is kept.
    first: u64,
    /// The head file is behind.
    owes_head: bool,
}

/// How an attempt to append entries ended.
#[derive(Debug)]
pub(super) struct Appended {
    /// Entries that are on disk, from the first on.
    pub(super) count: usize,
    /// Why there are no more.
    pub(super) result: std::io::Result<()>,
}

impl LogWriter {
    /// Continues the log at `path`; what the start found is returned beside.
    pub(super) fn open(path: &Path, limits: LogLimits) -> Result<(Self, Start), LogError> {
        let failed = |source| LogError { path: path.to_owned(), source };
        // Before anything is moved: another process may be writing it.
        let file = own(path).map_err(failed)?;
        let head_file = read_head_file(path).map_err(failed)?;
        let start = start(path, limits, &head_file).map_err(failed)?;
        let file = stays_at(file, path).map_err(failed)?;
        let writer = Self {
            path: path.to_owned(),
            limits,
            file,
            length: start.length,
            head: start.head.clone(),
            first_in_file: start.first_in_file,
            first: start.first,
            owes_head: false,
        };
        Ok((writer, start))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The last line that is on disk.
    pub(super) fn head(&self) -> &Head {
        &self.head
    }

    /// Whether the file is as it was left. Where it is not, the log is continued as at a start, by
    /// what this process remembers of it; what is wrong is returned.
    pub(super) fn inspect(&mut self) -> std::io::Result<Option<Gap>> {
        if is_at(&self.file, &self.path)? && self.file.metadata()?.len() == self.length {
            return Ok(None);
        }
        let Head { seq: last, hash } = self.head.clone();
        let remembered = match last {
            0 => HeadFile::Missing,
            _ => HeadFile::Ends(Ends { first: self.first, last, hash }),
        };
        let start = start(&self.path, self.limits, &remembered)?;
        if !is_at(&self.file, &self.path)? {
            self.file = own(&self.path)?;
        }
        (self.length, self.head) = (start.length, start.head);
        (self.first, self.first_in_file) = (start.first, start.first_in_file);
        Ok(start.gap)
    }

    /// Appends entries, and syncs them to the disk together.
    pub(super) fn append<'a>(&mut self, entries: impl Iterator<Item = &'a Value>) -> Appended {
        let mut count = 0;
        let result = self.append_all(entries, &mut count);
        Appended { count, result }
    }

    fn append_all<'a>(
        &mut self,
        entries: impl Iterator<Item = &'a Value>,
        count: &mut usize,
    ) -> std::io::Result<()> {
        let mut pending = Pending::after(&self.head);
        for entry in entries {
            let (line, head) = chain::seal(&pending.head, &Timestamp::now().to_string(), entry)?;
            let length = self.length + pending.text.len() as u64;
            if length > 0 && length + line.len() as u64 > self.limits.file_bytes {
                self.flush(&mut pending, count)?;
                self.rotate()?;
            }
            pending.text.push_str(&line);
            pending.lines += 1;
            pending.head = head;
        }
        self.flush(&mut pending, count)
    }

    /// The order matters: the head file never knows a line that is not on disk.
    fn flush(&mut self, pending: &mut Pending, count: &mut usize) -> std::io::Result<()> {
        if pending.lines == 0 {
            return if self.owes_head { self.write_head() } else { Ok(()) };
        }
        let written = self.file.write_all(pending.text.as_bytes());
        if let Err(error) = written.and_then(|()| self.file.sync_data()) {
            // Half a line must not be followed by the next one.
            let _ = self.file.set_len(self.length);
            return Err(error);
        }
        self.length += pending.text.len() as u64;
        self.head = pending.head.clone();
        *count += std::mem::take(&mut pending.lines);
        pending.text.clear();
        self.write_head()
    }

    fn write_head(&mut self) -> std::io::Result<()> {
        let result = write_ends(&self.path, self.first, &self.head);
        self.owes_head = result.is_err();
        result
    }

    fn rotate(&mut self) -> std::io::Result<()> {
        // First the new file, which a full disk may refuse: the old one stays in its place then.
        let next = next_name(&self.path);
        // One that was left by an attempt that failed.
        let _ = std::fs::remove_file(&next);
        let file = open_file(&next, OpenOptions::new().create_new(true))?;
        lock(&file)?;
        std::fs::rename(&self.path, rotated_name(&self.path, self.first_in_file))?;
        std::fs::rename(&next, &self.path)?;
        self.file = file;
        (self.length, self.first_in_file) = (0, self.head.seq + 1);
        let (removable, oldest) = surplus(&self.path, self.limits.files)?;
        self.first = oldest.unwrap_or(self.first_in_file);
        // First the head file: after a crash between the two there is too much, not too little.
        self.write_head()?;
        for file in removable {
            std::fs::remove_file(file)?;
        }
        tracing::info!(
            file = %self.path.display(), seq = self.head.seq, hash = %self.head.hash, "log rotated"
        );
        Ok(())
    }
}

/// Lines that are not in the file yet.
struct Pending {
    text: String,
    lines: usize,
    /// The last of them.
    head: Head,
}

impl Pending {
    fn after(head: &Head) -> Self {
        Self { text: String::new(), lines: 0, head: head.clone() }
    }
}

/// Opens the file that is to be written, or makes it, for this process alone.
fn own(path: &Path) -> std::io::Result<File> {
    let file = open_file(path, OpenOptions::new().create(true))?;
    lock(&file)?;
    Ok(file)
}

/// The file at `path`: this one, if it is still there.
fn stays_at(file: File, path: &Path) -> std::io::Result<File> {
    if is_at(&file, path)? { Ok(file) } else { own(path) }
}

fn is_at(file: &File, path: &Path) -> std::io::Result<bool> {
    let (own, there) = (file.metadata()?, std::fs::metadata(path));
    match there {
        Ok(there) => Ok((own.dev(), own.ino()) == (there.dev(), there.ino())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Two processes that append to one log would make one that no line of fits.
fn lock(file: &File) -> std::io::Result<()> {
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => {
            Err(std::io::Error::new(ErrorKind::ResourceBusy, "another process is writing it"))
        }
        // Some file systems have no locks.
        Ok(()) | Err(TryLockError::Error(_)) => Ok(()),
    }
}

fn open_file(path: &Path, options: &mut OpenOptions) -> std::io::Result<File> {
    options.read(true).append(true).open(path)
}
