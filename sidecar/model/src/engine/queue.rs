//! The bounded queue between callers and the engine's thread.

use super::error::{EngineError, SubmitError};
use super::event::Event;
use super::request::{GenerateRequest, ScoreRequest};
use super::score::Score;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// One request on its way to the engine's thread.
#[derive(Debug)]
pub(super) enum Job {
    Generate { request: GenerateRequest, events: mpsc::Sender<Event> },
    Score { request: ScoreRequest, result: oneshot::Sender<Result<Score, EngineError>> },
}

impl Job {
    /// Whether it gives way to others.
    pub(super) fn is_background(&self) -> bool {
        matches!(self, Self::Score { request, .. } if request.is_background)
    }

    /// Whether the caller has gone away.
    fn is_cancelled(&self) -> bool {
        match self {
            Self::Generate { events, .. } => events.is_closed(),
            Self::Score { result, .. } => result.is_closed(),
        }
    }

    pub(super) fn fail(self, error: EngineError) {
        match self {
            // The channel has room for all events of the request; sending fails only if the caller
            // has gone away.
            Self::Generate { events, .. } => drop(events.try_send(Event::Failed(error))),
            Self::Score { result, .. } => drop(result.send(Err(error))),
        }
    }
}

#[derive(Debug)]
pub(super) struct Queue {
    state: Mutex<State>,
    arrived: Condvar,
    max_waiting: usize,
    running: AtomicUsize,
    /// Bytes of the KV cache in memory.
    kv_bytes: AtomicUsize,
    /// Smoothed mean time between two requests that ended, in milliseconds.
    release_millis: AtomicUsize,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Job>,
    /// Jobs that give way to those.
    background: VecDeque<Job>,
    /// Bytes that the KV cache is to be shrunk to.
    shrink_to: Option<usize>,
    closed: bool,
}

impl State {
    fn line(&mut self, is_background: bool) -> &mut VecDeque<Job> {
        if is_background { &mut self.background } else { &mut self.waiting }
    }
}

impl Queue {
    /// At least one job may wait.
    pub(super) fn new(max_waiting: usize) -> Self {
        Self {
            state: Mutex::default(),
            arrived: Condvar::new(),
            max_waiting: max_waiting.max(1),
            running: AtomicUsize::new(0),
            kv_bytes: AtomicUsize::new(0),
            release_millis: AtomicUsize::new(1000),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No code panics while it holds the lock, and the state is valid after each statement.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn push(&self, job: Job) -> Result<(), SubmitError> {
        let mut state = self.lock();
        if state.closed {
            return Err(SubmitError::Stopped);
        }
        let line = state.line(job.is_background());
        if line.len() >= self.max_waiting {
            line.retain(|job| !job.is_cancelled());
        }
        if line.len() >= self.max_waiting {
            let millis =
                self.release_millis.load(Ordering::Relaxed).saturating_mul(self.max_waiting);
            let millis = u64::try_from(millis).unwrap_or(u64::MAX).clamp(1000, 60_000);
            return Err(SubmitError::QueueFull { retry_after: Duration::from_millis(millis) });
        }
        line.push_back(job);
        self.arrived.notify_one();
        Ok(())
    }

    /// Takes the job that has waited longest, if it `fits`; one that gives way to others only where
    /// no other waits. Jobs that were cancelled before it are dropped.
    pub(super) fn pop_if(&self, fits: impl Fn(&Job) -> bool) -> Option<Job> {
        let mut state = self.lock();
        for is_background in [false, true] {
            let line = state.line(is_background);
            while line.front().is_some_and(Job::is_cancelled) {
                line.pop_front();
            }
            if !line.is_empty() {
                return line.pop_front_if(|job| fits(job));
            }
        }
        None
    }

    /// Asks for memory of the KV cache back, until at most so many bytes are left, or what is in
    /// use.
    pub(super) fn shrink(&self, bytes: usize) {
        let mut state = self.lock();
        state.shrink_to = Some(state.shrink_to.map_or(bytes, |before| before.min(bytes)));
        drop(state);
        self.arrived.notify_one();
    }

    /// What was asked for by [`Self::shrink`].
    pub(super) fn take_shrink(&self) -> Option<usize> {
        self.lock().shrink_to.take()
    }

    /// Blocks until a job waits, memory is asked for, or the queue is closed. Returns whether it is
    /// open.
    pub(super) fn wait(&self) -> bool {
        let mut state = self.lock();
        while state.waiting.is_empty()
            && state.background.is_empty()
            && state.shrink_to.is_none()
            && !state.closed
        {
            state = self.arrived.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        !state.closed
    }

    pub(super) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// Takes no more jobs, and fails those that wait.
    pub(super) fn close(&self) {
        let waiting = {
            let mut state = self.lock();
            state.closed = true;
            let waiting = std::mem::take(&mut state.waiting);
            waiting.into_iter().chain(std::mem::take(&mut state.background))
        };
        self.arrived.notify_all();
        for job in waiting {
            job.fail(EngineError::Stopped);
        }
    }

    /// Number of jobs that wait.
    pub(super) fn waiting(&self) -> usize {
        let state = self.lock();
        state.waiting.len() + state.background.len()
    }

    /// Number of requests that are running.
    pub(super) fn running(&self) -> usize {
        self.running.load(Ordering::Relaxed)
    }

    /// Bytes of the KV cache in memory.
    pub(super) fn kv_bytes(&self) -> usize {
        self.kv_bytes.load(Ordering::Relaxed)
    }

    pub(super) fn set_kv_bytes(&self, bytes: usize) {
        self.kv_bytes.store(bytes, Ordering::Relaxed);
    }

    pub(super) fn set_running(&self, running: usize) {
        self.running.store(running, Ordering::Relaxed);
    }

    /// Notes that a request ended, `since_last` after the one before it.
    pub(super) fn note_release(&self, since_last: Duration) {
        let sample = usize::try_from(since_last.as_millis()).unwrap_or(usize::MAX).min(60_000);
        let old = self.release_millis.load(Ordering::Relaxed);
        self.release_millis.store((old * 7 + sample) / 8, Ordering::Relaxed);
    }
}
