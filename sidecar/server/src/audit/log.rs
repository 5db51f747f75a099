//! A log: a bounded queue, and a thread that writes.

use super::chain::Head;
use super::files::LogLimits;
use super::recorder::{QueuedEntry, Recorder, Shared};
use super::writer::{LogError, LogWriter};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::watch;

/// Entries that may wait to be written.
const QUEUE: usize = 1024;
/// Bytes of memory that they may take: conversations are long.
const QUEUE_BYTES: usize = 32 << 20;

/// A log that is being written. An entry is lost if the queue or the disk is full. Lost entries are
/// counted, and the next entry that is written says how many there were.
#[derive(Debug)]
pub struct Log {
    queue: Mutex<Option<Queue>>,
    shared: Arc<Shared>,
    opened: Head,
}

#[derive(Debug)]
struct Queue {
    sender: SyncSender<QueuedEntry>,
    thread: JoinHandle<()>,
    /// Entries that were queued so far.
    queued: u64,
}

/// An entry on its way to the disk.
#[derive(Debug)]
#[must_use]
pub struct Receipt {
    /// Its number in the queue; none where it was lost.
    number: Option<u64>,
    done: watch::Receiver<u64>,
}

impl Receipt {
    /// Waits until the entry is on disk, or known to be lost, but no longer than `patience`. False
    /// if it took longer.
    pub async fn settled(mut self, patience: Duration) -> bool {
        let Some(number) = self.number else { return true };
        let done = self.done.wait_for(|done| *done >= number);
        // The thread ends only after all that was queued.
        tokio::time::timeout(patience, done).await.is_ok()
    }
}

impl Log {
    /// Continues the log at `path`, or begins it. Whatever is wrong with it becomes its next entry;
    /// a file that cannot be continued is moved aside.
    ///
    /// # Errors
    /// If its files cannot be read or written.
    pub fn open(path: &Path, limits: LogLimits) -> Result<Self, LogError> {
        let (writer, start) = LogWriter::open(path, limits)?;
        let opened = start.head;
        let gaps = start.known_gaps + u64::from(start.gap.is_some());
        if let Some(gap) = &start.gap {
            tracing::error!(
                file = %path.display(), seq = opened.seq, gap = %gap.describe(),
                "a log is not as it was left: an entry says so"
            );
        }
        let shared = Arc::new(Shared::new(opened.clone(), gaps));
        let gap = start.gap.as_ref().and_then(|gap| serde_json::to_value(gap).ok());
        let started = json!({ "kind": "started", "version": env!("CARGO_PKG_VERSION") });
        let opening = gap.into_iter().chain([started]).collect();
        let recorder = Recorder::new(writer, Arc::clone(&shared), opening);
        let (sender, receiver) = sync_channel(QUEUE);
        let failed = |source| LogError { path: path.to_owned(), source };
        let thread = std::thread::Builder::new().name("personaguard-log".to_owned());
        let thread = thread.spawn(move || recorder.run(&receiver)).map_err(failed)?;
        let queue = Mutex::new(Some(Queue { sender, thread, queued: 0 }));
        Ok(Self { queue, shared, opened })
    }

    /// Adds an entry. Never waits; the receipt does.
    pub fn push(&self, entry: Value) -> Receipt {
        let bytes = weight(&entry);
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = self.shared.waiting_bytes.fetch_add(bytes, Ordering::Relaxed);
        let has_room = waiting == 0 || waiting + bytes <= QUEUE_BYTES;
        let entry = QueuedEntry { entry, bytes };
        let queued =
            queue.as_mut().filter(|queue| has_room && queue.sender.try_send(entry).is_ok());
        let number = queued.map(|queue| {
            queue.queued += 1;
            queue.queued
        });
        if number.is_none() {
            self.shared.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
            self.shared.lost.fetch_add(1, Ordering::Relaxed);
        }
        Receipt { number, done: self.shared.done.subscribe() }
    }

    /// Entries that are on disk.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.shared.written.load(Ordering::Relaxed)
    }

    /// Entries that are not, and never will be.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.shared.lost.load(Ordering::Relaxed)
    }

    /// Whether the last attempt to write failed. It is repeated, with or without new entries.
    #[must_use]
    pub fn is_failing(&self) -> bool {
        self.shared.is_failing.load(Ordering::Relaxed)
    }

    /// The line that this process continued after.
    #[must_use]
    pub fn opened(&self) -> &Head {
        &self.opened
    }

    /// The last line on disk.
    #[must_use]
    pub fn head(&self) -> Head {
        self.shared.head.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Gaps that the log tells of, those found by this process included.
    #[must_use]
    pub fn gaps(&self) -> u64 {
        self.shared.gaps.load(Ordering::Relaxed)
    }

    /// Writes what is waiting, and ends. Later entries are lost.
    pub fn close(&self) {
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(Queue { sender, thread, .. }) = queue {
            drop(sender);
            // A writer that panicked has nothing left to write.
            let _ = thread.join();
        }
    }
}

/// What a value takes in memory, more or less.
fn weight(value: &Value) -> usize {
    let own = size_of::<Value>();
    own + match value {
        Value::String(text) => text.len(),
        Value::Array(values) => values.iter().map(weight).sum(),
        Value::Object(fields) => {
            fields.iter().map(|(name, value)| name.len() + own + weight(value)).sum()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.close();
    }
}

#[cfg(test)]
mod tests;
