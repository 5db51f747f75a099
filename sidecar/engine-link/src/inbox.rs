//! Rows that have come and wait for the response that they belong to.

use super::message::{Part, Rows};
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// Numbers that wait at most, of one response and of all: 4 MiB and 32 MiB. Those of a response
/// wait while its client does not read.
const MAX_WAITING: usize = 1 << 20;
const MAX_ALL: usize = 8 << 20;

/// Why no more rows of a request count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowFault {
    /// A position is missing between those that came.
    Gap,
    /// They are those of other vectors, or of another prompt.
    Other,
    /// More wait than may.
    TooMany,
    /// The plugin is gone.
    Lost,
}

/// Rows since the last look.
#[derive(Debug, Default, PartialEq)]
pub struct Taken {
    /// One row after another; the first ever is the prompt's last token.
    pub rows: Vec<Vec<f32>>,
    /// Why no more will come after these.
    pub fault: Option<RowFault>,
    /// Tokens of the response that had been told when the plugin last said that it had told all.
    pub synced: Option<usize>,
}

/// The requests whose rows are waited for.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    requests: Mutex<HashMap<String, Arc<Entry>>>,
    waiting: AtomicUsize,
}

/// What has come for one request.
#[derive(Debug)]
pub(super) struct Entry {
    wanted: Wanted,
    set: u64,
    state: Mutex<State>,
    changed: Notify,
}

/// Which rows of a request count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// That of the prompt's last token, and every one after it.
    All,
    /// That at one position.
    At(u32),
}

#[derive(Debug, Default)]
struct State {
    /// Tokens of the prompt, and the position of the next row, once one came.
    prompt: Option<(u32, u32)>,
    taken: Taken,
    /// Numbers that wait.
    waiting: usize,
}

impl Inbox {
    pub(super) fn take(&self, rows: &Rows<'_>) {
        for part in &rows.parts {
            // One that nobody waits for any more, or never did.
            let Some(entry) = lock(&self.requests).get(part.id).cloned() else { continue };
            let added = entry.add(rows, part, &self.waiting);
            if added {
                entry.changed.notify_one();
            }
        }
    }

    /// All that was measured of a request before it was asked has come.
    pub(super) fn synced(&self, id: &str) {
        if let Some(entry) = lock(&self.requests).get(id).cloned() {
            let mut state = lock(&entry.state);
            let told = state.prompt.map_or(0, |(prompt, next)| next.saturating_sub(prompt));
            state.taken.synced = Some(told as usize);
            entry.changed.notify_one();
        }
    }

    /// None of the requests gets more rows.
    pub(super) fn lose_all(&self) {
        for entry in lock(&self.requests).values() {
            lock(&entry.state).taken.fault.get_or_insert(RowFault::Lost);
            entry.changed.notify_one();
        }
    }

    /// From now on rows of this request are kept.
    pub(super) fn register(&self, id: &str, set: u64, wanted: Wanted) -> Arc<Entry> {
        let entry =
            Arc::new(Entry { wanted, set, state: Mutex::default(), changed: Notify::new() });
        lock(&self.requests).insert(id.to_owned(), Arc::clone(&entry));
        entry
    }
}

impl Inbox {
    /// What has come for a request since the last call.
    pub(super) fn taken(&self, entry: &Entry) -> Taken {
        let mut state = lock(&entry.state);
        self.waiting.fetch_sub(std::mem::take(&mut state.waiting), Ordering::Relaxed);
        let fault = state.taken.fault;
        let Taken { rows, synced, .. } = std::mem::take(&mut state.taken);
        state.taken.fault = fault;
        Taken { rows, fault, synced }
    }

    /// Nobody waits for rows of this request any more.
    pub(super) fn forget(&self, id: &str, entry: &Entry) {
        lock(&self.requests).remove(id);
        // Rows are added under the lock of the state, and only where there was no fault.
        entry.fail(RowFault::Lost);
        drop(self.taken(entry));
    }
}

impl Entry {
    /// No more rows count.
    pub(super) fn fail(&self, fault: RowFault) {
        lock(&self.state).taken.fault.get_or_insert(fault);
    }

    /// Tokens of the prompt, once a row came.
    pub(super) fn prompt_tokens(&self) -> usize {
        lock(&self.state).prompt.map_or(0, |(prompt, _)| prompt as usize)
    }

    /// Waits until something has come that was not looked at.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Takes what is new of a part. False where nothing is.
    fn add(&self, rows: &Rows<'_>, part: &Part<'_>, all_waiting: &AtomicUsize) -> bool {
        let mut state = lock(&self.state);
        if state.taken.fault.is_some() {
            return false;
        }
        match self.new_rows(&mut state, rows, part) {
            Ok(new) => {
                let count = new.len() * rows.slots;
                if state.waiting + count > MAX_WAITING
                    || all_waiting.load(Ordering::Relaxed) + count > MAX_ALL
                {
                    state.taken.fault = Some(RowFault::TooMany);
                    return true;
                }
                state.waiting += count;
                all_waiting.fetch_add(count, Ordering::Relaxed);
                let is_some = !new.is_empty();
                state.taken.rows.extend(new);
                is_some
            }
            Err(fault) => {
                state.taken.fault = Some(fault);
                true
            }
        }
    }

    fn new_rows(
        &self,
        state: &mut State,
        rows: &Rows<'_>,
        part: &Part<'_>,
    ) -> Result<Vec<Vec<f32>>, RowFault> {
        if rows.set != self.set || rows.slots == 0 {
            return Err(RowFault::Other);
        }
        let row = rows.slots * size_of::<f32>();
        let told = part.values.chunks_exact(row).map(floats);
        let told = told.zip(part.first..);
        if let Wanted::At(position) = self.wanted {
            // It is told once more after a preemption.
            let wanted = told.filter(|(_, at)| *at == position && state.taken.rows.is_empty());
            return Ok(wanted.map(|(row, _)| row).take(1).collect());
        }
        let begin = part.prompt.checked_sub(1).ok_or(RowFault::Other)?;
        let (prompt, next) = *state.prompt.get_or_insert((part.prompt, begin));
        if prompt != part.prompt {
            return Err(RowFault::Other);
        }
        if part.first > next && !part.values.is_empty() {
            return Err(RowFault::Gap);
        }
        // What is told again replaces nothing that was judged.
        let new: Vec<_> = told.filter(|(_, at)| *at >= next).map(|(row, _)| row).collect();
        let count = u32::try_from(new.len()).map_err(|_| RowFault::TooMany)?;
        state.prompt = Some((prompt, next + count));
        Ok(new)
    }
}

fn floats(row: &[u8]) -> Vec<f32> {
    let (numbers, _) = row.as_chunks();
    numbers.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What it holds is valid after each statement.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
