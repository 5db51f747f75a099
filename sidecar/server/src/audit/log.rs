//! A log: a bounded queue, and a thread that writes.

use super::files::LogLimits;
use super::writer::{LogError, LogWriter};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

/// Entries that may wait to be written.
const QUEUE: usize = 1024;

/// A log that is being written. An entry is lost if the queue or the disk is full. Lost entries are
/// counted, and the next entry that is written says how many there were.
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
    /// Continues the log at `path`, or begins it.
    ///
    /// # Errors
    /// If the file cannot be opened, or its end was tampered with.
    pub fn open(path: &Path, limits: LogLimits) -> Result<Self, LogError> {
        let writer = LogWriter::open(path, limits)?;
        let counts = Arc::<Counts>::default();
        let (sender, receiver) = sync_channel(QUEUE);
        let failed = |source| LogError::Io { path: path.to_owned(), source };
        let thread = std::thread::Builder::new().name("personaguard-log".to_owned());
        let shared = Arc::clone(&counts);
        let thread = thread.spawn(move || write(writer, &receiver, &shared)).map_err(failed)?;
        Ok(Self { queue: Mutex::new(Some((sender, thread))), counts })
    }

    /// Adds an entry. Never waits.
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

    /// Entries that are not, and never will be.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.counts.lost.load(Ordering::Relaxed)
    }

    /// Writes what is waiting, and ends. Later entries are lost.
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

fn write(mut writer: LogWriter, entries: &Receiver<Value>, counts: &Counts) {
    let mut reported = 0;
    let mut put = |entry: &Value| {
        let lost = counts.lost.load(Ordering::Relaxed);
        let gap = lost > reported;
        let result = (if gap {
            writer.append(&json!({ "kind": "lost", "entries": lost - reported }))
        } else {
            Ok(())
        })
        .and_then(|()| writer.append(entry));
        match result {
            Ok(()) => {
                reported = lost;
                counts.written.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) => {
                // Once for several failures in a row.
                if !gap {
                    tracing::error!(
                        %error, file = %writer.path().display(), "an entry of a log is lost"
                    );
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
    let head = writer.head();
    tracing::info!(
        file = %writer.path().display(), seq = head.seq, hash = %head.hash, "log closed"
    );
}
