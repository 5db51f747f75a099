//! The thread of a log: takes what waits in the queue, and has it written together.

use super::chain::Head;
use super::gap::Gap;
use super::writer::{Appended, LogWriter};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// Entries that are written and synced at a time.
const BATCH: usize = 128;
/// After a failure, the time until it is tried again without a new entry.
const RETRY: Duration = Duration::from_secs(1);

/// What the thread tells.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) written: AtomicU64,
    pub(super) lost: AtomicU64,
    /// Gaps that the log tells of.
    pub(super) gaps: AtomicU64,
    /// Bytes of the entries that wait, by their weight.
    pub(super) waiting_bytes: AtomicUsize,
    /// The last attempt to write failed.
    pub(super) is_failing: AtomicBool,
    /// The last line on disk.
    pub(super) head: Mutex<Head>,
    /// Of the queued entries, how many are on disk or lost.
    pub(super) done: watch::Sender<u64>,
}

impl Shared {
    pub(super) fn new(head: Head, gaps: u64) -> Self {
        Self {
            written: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            gaps: AtomicU64::new(gaps),
            waiting_bytes: AtomicUsize::new(0),
            is_failing: AtomicBool::new(false),
            head: Mutex::new(head),
            done: watch::Sender::new(0),
        }
    }
}

/// An entry on its way to the thread.
#[derive(Debug)]
pub(super) struct QueuedEntry {
    pub(super) entry: Value,
    /// What it takes in memory, more or less.
    pub(super) bytes: usize,
}

pub(super) struct Recorder {
    writer: LogWriter,
    shared: Arc<Shared>,
    /// Entries that open the log, kept until they are written.
    opening: Vec<Value>,
    /// Lost entries that the log tells of.
    reported: u64,
}

impl Recorder {
    /// Writes the entries that open the log. If that fails they are kept, and written later.
    pub(super) fn new(writer: LogWriter, shared: Arc<Shared>, opening: Vec<Value>) -> Self {
        let mut recorder = Self { writer, shared, opening, reported: 0 };
        recorder.put(&[]);
        recorder
    }

    /// Runs until the queue is closed.
    pub(super) fn run(mut self, entries: &Receiver<QueuedEntry>) {
        loop {
            let waits = self.shared.is_failing.load(Ordering::Relaxed);
            let next = match waits {
                true => entries.recv_timeout(RETRY),
                false => entries.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            let first = match next {
                Ok(entry) => Some(entry),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => break,
            };
            let rest = BATCH - first.iter().len();
            let taken = first.into_iter().chain(entries.try_iter().take(rest));
            let (batch, bytes): (Vec<_>, Vec<_>) =
                taken.map(|QueuedEntry { entry, bytes }| (entry, bytes)).unzip();
            self.put(&batch);
            self.shared.waiting_bytes.fetch_sub(bytes.iter().sum(), Ordering::Relaxed);
            self.shared.done.send_modify(|done| *done += batch.len() as u64);
        }
        self.put(&[json!({ "kind": "stopped" })]);
        // Whoever keeps this line elsewhere can tell whether the log was cut since.
        let head = self.writer.head();
        tracing::info!(
            file = %self.writer.path().display(), seq = head.seq, hash = %head.hash, "log closed"
        );
    }

    /// The log is not as it was left while this process was writing it.
    fn tell(&mut self, gap: &Gap) {
        tracing::error!(
            file = %self.writer.path().display(), seq = self.writer.head().seq,
            gap = %gap.describe(), "a log was changed while it was written: an entry says so"
        );
        self.shared.gaps.fetch_add(1, Ordering::Relaxed);
        self.opening.extend(serde_json::to_value(gap).ok());
    }

    /// Writes entries, after those that come first and one that says how many were lost. What of
    /// them fails is lost.
    fn put(&mut self, batch: &[Value]) {
        let mut inspected = Ok(());
        match self.writer.inspect() {
            Ok(None) => {}
            Ok(Some(gap)) => self.tell(&gap),
            Err(error) => inspected = Err(error),
        }
        let lost = self.shared.lost.load(Ordering::Relaxed);
        let told = (lost > self.reported)
            .then(|| json!({ "kind": "lost", "entries": lost - self.reported }));
        let before = self.opening.len() + told.iter().len();
        let entries = self.opening.iter().chain(&told).chain(batch);
        let Appended { count, result } = match inspected {
            Ok(()) => self.writer.append(entries),
            Err(error) => Appended { count: 0, result: Err(error) },
        };
        if told.is_some() && count >= before {
            self.reported = lost;
        }
        self.opening.drain(..count.min(self.opening.len()));
        let failed = batch.len() - count.saturating_sub(before);
        self.shared.written.fetch_add(count as u64, Ordering::Relaxed);
        self.shared.lost.fetch_add(failed as u64, Ordering::Relaxed);
        let mut head = self.shared.head.lock().unwrap_or_else(PoisonError::into_inner);
        head.clone_from(self.writer.head());
        drop(head);
        let was_failing = self.shared.is_failing.swap(result.is_err(), Ordering::Relaxed);
        match result {
            // Once for several failures in a row.
            Err(error) if !was_failing => tracing::error!(
                %error, file = %self.writer.path().display(), "entries of a log are lost"
            ),
            Ok(()) if was_failing => tracing::info!(
                file = %self.writer.path().display(), "the log can be written again"
            ),
            _ => {}
        }
    }
}
