//! A log: a bounded queue, and a thread that writes.

use super::chain::{self, Head};
use super::files::{self, Limits};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

/// Entries that wait to be written.
const WAITING: usize = 1024;
/// Longest line that is looked for at the end of a file.
const LONGEST_LINE: u64 = 16 << 20;

/// Why a log cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// A file cannot be read or written.
    #[error("{} cannot be used as a log: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The end of the file is not as it was left.
    #[error("the last line of {} is damaged ({flaw}): see `personaguard audit verify`, and move the file away", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        flaw: chain::Flaw,
    },
}

/// A log that is being written. Entries that find the queue full, or the disk, are lost and
/// counted: the next one that is written says how many.
#[derive(Debug)]
pub struct Log {
    queue: Mutex<Option<(SyncSender<Value>, JoinHandle<()>)>>,
    counts: Arc<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    written: AtomicU64,
    lost: AtomicU64,
}

impl Log {
    /// Goes on with the log at `path`, or begins it.
    ///
    /// # Errors
    /// If the file cannot be opened, or its end was tampered with.
    pub fn open(path: &Path, limits: Limits) -> Result<Self, LogError> {
        let writer = Writer::open(path, limits)?;
        let counts = Arc::<Counts>::default();
        let (sender, receiver) = sync_channel(WAITING);
        let failed = |source| LogError::Io { path: path.to_owned(), source };
        let thread = std::thread::Builder::new().name("personaguard-log".to_owned());
        let theirs = Arc::clone(&counts);
        let thread = thread.spawn(move || write(writer, &receiver, &theirs)).map_err(failed)?;
        Ok(Self { queue: Mutex::new(Some((sender, thread))), counts })
    }

    /// Takes an entry. Never waits.
    pub fn push(&self, entry: Value) {
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        if queue.as_ref().is_none_or(|(sender, _)| sender.try_send(entry).is_err()) {
            self.counts.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Entries that are on disk.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.counts.written.load(Ordering::Relaxed)
    }

    /// Entries that are not, and will not be.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.counts.lost.load(Ordering::Relaxed)
    }

    /// Writes what waits, and ends. What comes later is lost.
    pub fn close(&self) {
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((sender, thread)) = queue {
            drop(sender);
            // A writer that panicked has nothing left to write.
            let _ = thread.join();
        }
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.close();
    }
}

fn write(mut writer: Writer, entries: &Receiver<Value>, counts: &Counts) {
    let mut told = 0;
    let mut put = |entry: &Value| {
        let lost = counts.lost.load(Ordering::Relaxed);
        let gap = lost > told;
        let result = (if gap {
            writer.append(&json!({ "kind": "lost", "entries": lost - told }))
        } else {
            Ok(())
        })
        .and_then(|()| writer.append(entry));
        match result {
            Ok(()) => {
                told = lost;
                counts.written.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) => {
                // Once for each row of failures.
                if !gap {
                    tracing::error!(%error, file = %writer.path.display(), "an entry of a log is lost");
                }
                counts.lost.fetch_add(1, Ordering::Relaxed);
            }
        }
    };
    put(&json!({ "kind": "started", "version": env!("CARGO_PKG_VERSION") }));
    while let Ok(entry) = entries.recv() {
        put(&entry);
    }
    put(&json!({ "kind": "stopped" }));
    // Whoever keeps this line elsewhere can tell whether the log was cut since.
    tracing::info!(file = %writer.path.display(), seq = writer.head.seq, hash = %writer.head.hash, "log closed");
}

/// Appends lines, and rotates.
#[derive(Debug)]
struct Writer {
    path: PathBuf,
    limits: Limits,
    file: File,
    /// Bytes of the file.
    bytes: u64,
    head: Head,
    /// Number of the file's first line.
    begins: u64,
    /// Number of the first line of the oldest file.
    first: u64,
}

impl Writer {
    fn open(path: &Path, limits: Limits) -> Result<Self, LogError> {
        let failed = |source| LogError::Io { path: path.to_owned(), source };
        let mut file =
            OpenOptions::new().read(true).append(true).create(true).open(path).map_err(failed)?;
        let older = files::older(path).map_err(failed)?;
        let whole = cut_torn_line(&mut file).map_err(failed)?;
        let mut last = last_line(&mut file, whole).map_err(failed)?;
        let mut begins = first_seq(&mut file).map_err(failed)?;
        if last.is_empty() {
            // The file was rotated away, and the next one not begun.
            if let Some((_, path)) = older.last() {
                let mut file = File::open(path).map_err(failed)?;
                let length = file.metadata().map_err(failed)?.len();
                last = last_line(&mut file, length).map_err(failed)?;
            }
        }
        let head = match last.as_str() {
            "" => Head::default(),
            line => {
                chain::open(line)
                    .map_err(|flaw| LogError::Damaged { path: path.to_owned(), flaw })?
                    .head
            }
        };
        begins = begins.or(Some(head.seq + 1));
        let begins = begins.unwrap_or(1);
        let first = older.first().map_or(begins, |(first, _)| *first);
        Ok(Self { path: path.to_owned(), limits, file, bytes: whole, head, begins, first })
    }

    fn append(&mut self, entry: &Value) -> std::io::Result<()> {
        let (line, head) = chain::seal(&self.head, &Timestamp::now().to_string(), entry)?;
        if self.bytes > 0 && self.bytes + line.len() as u64 > self.limits.file_bytes {
            self.rotate()?;
        }
        if let Err(error) = self.file.write_all(line.as_bytes()) {
            // A part of the line must not stand before the next one.
            let _ = self.file.set_len(self.bytes);
            return Err(error);
        }
        self.bytes += line.len() as u64;
        self.head = head;
        files::write_ends(&self.path, self.first, &self.head)
    }

    fn rotate(&mut self) -> std::io::Result<()> {
        self.file.sync_data()?;
        std::fs::rename(&self.path, files::rotated(&self.path, self.begins))?;
        self.file = OpenOptions::new().read(true).append(true).create_new(true).open(&self.path)?;
        (self.bytes, self.begins) = (0, self.head.seq + 1);
        let older = files::older(&self.path)?;
        let surplus = (older.len() + 1).saturating_sub(self.limits.files.max(1));
        for (_, file) in &older[..surplus] {
            std::fs::remove_file(file)?;
        }
        self.first = older.get(surplus).map_or(self.begins, |(first, _)| *first);
        tracing::info!(file = %self.path.display(), seq = self.head.seq, hash = %self.head.hash, "log rotated");
        Ok(())
    }
}

/// Cuts off what a crash left of a line; what remains, in bytes.
fn cut_torn_line(file: &mut File) -> std::io::Result<u64> {
    let length = file.metadata()?.len();
    let tail = tail(file, length)?;
    let torn = tail.len() - tail.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    if torn > 0 {
        tracing::warn!(bytes = torn, "a log ended in the midst of a line, which was cut off");
        file.set_len(length - torn as u64)?;
    }
    Ok(length - torn as u64)
}

/// The last bytes of the first `length` of a file.
fn tail(file: &mut File, length: u64) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(length.saturating_sub(LONGEST_LINE)))?;
    file.take(length.min(LONGEST_LINE)).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The last line of the first `length` bytes of a file, which end with a line feed; empty where
/// there is none.
fn last_line(file: &mut File, length: u64) -> std::io::Result<String> {
    let tail = tail(file, length)?;
    let line =
        tail.split(|byte| *byte == b'\n').rev().find(|line| !line.is_empty()).unwrap_or_default();
    Ok(String::from_utf8_lossy(line).into_owned())
}

/// Number of the first line.
fn first_seq(file: &mut File) -> std::io::Result<Option<u64>> {
    let mut beginning = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    file.take(64).read_to_end(&mut beginning)?;
    let text = String::from_utf8_lossy(&beginning);
    let digits = text.strip_prefix("{\"seq\":").and_then(|rest| rest.split(',').next());
    Ok(digits.and_then(|digits| digits.parse().ok()))
}
