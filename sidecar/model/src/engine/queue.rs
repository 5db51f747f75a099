//! The bounded queue between callers and the engine's thread.

use super::SubmitError;
use super::event::{EngineError, Event};
use super::request::{GenerateRequest, ScoreRequest};
use super::score::Score;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// One request on its way to the engine's thread.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) work: Work,
}

#[derive(Debug)]
pub(crate) enum Work {
    Generate { request: GenerateRequest, events: mpsc::Sender<Event> },
    Score { request: ScoreRequest, result: oneshot::Sender<Result<Score, EngineError>> },
}

impl Job {
    pub(crate) fn new(work: Work) -> Self {
        Self { work }
    }

    /// Nobody waits for the answer any more.
    pub(crate) fn is_cancelled(&self) -> bool {
        match &self.work {
            Work::Generate { events, .. } => events.is_closed(),
            Work::Score { result, .. } => result.is_closed(),
        }
    }

    pub(crate) fn fail(self, error: EngineError) {
        match self.work {
            // The channel has room for all that the request may produce, or nobody listens.
            Work::Generate { events, .. } => drop(events.try_send(Event::Failed(error))),
            Work::Score { result, .. } => drop(result.send(Err(error))),
        }
    }
}

#[derive(Debug)]
pub(crate) struct Queue {
    state: Mutex<State>,
    arrived: Condvar,
    max_waiting: usize,
    running: AtomicUsize,
    /// Mean time between places that became free, in milliseconds, smoothed.
    release_millis: AtomicUsize,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Job>,
    closed: bool,
}

impl Queue {
    pub(crate) fn new(max_waiting: usize) -> Self {
        Self {
            state: Mutex::default(),
            arrived: Condvar::new(),
            max_waiting: max_waiting.max(1),
            running: AtomicUsize::new(0),
            release_millis: AtomicUsize::new(1000),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No code panics while it holds the lock, and the state is valid after each statement.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn push(&self, job: Job) -> Result<(), SubmitError> {
        let mut state = self.lock();
        if state.closed {
            return Err(SubmitError::Stopped);
        }
        if state.waiting.len() >= self.max_waiting {
            state.waiting.retain(|job| !job.is_cancelled());
        }
        if state.waiting.len() >= self.max_waiting {
            let millis =
                self.release_millis.load(Ordering::Relaxed).saturating_mul(self.max_waiting);
            let millis = u64::try_from(millis).unwrap_or(u64::MAX).clamp(1000, 60_000);
            return Err(SubmitError::QueueFull { retry_after: Duration::from_millis(millis) });
        }
        state.waiting.push_back(job);
        self.arrived.notify_one();
        Ok(())
    }

    /// The next job that `fits` takes, or `None`; the order of arrival is kept. Cancelled jobs are
    /// dropped on the way.
    pub(crate) fn pop(&self, fits: impl FnOnce(&Job) -> bool) -> Option<Job> {
        let mut state = self.lock();
        while state.waiting.front().is_some_and(Job::is_cancelled) {
            state.waiting.pop_front();
        }
        state.waiting.pop_front_if(|job| fits(job))
    }

    /// Blocks until a job waits or the queue is closed. `false` when it is closed.
    pub(crate) fn wait(&self) -> bool {
        let mut state = self.lock();
        while state.waiting.is_empty() && !state.closed {
            state = self.arrived.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        !state.closed
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// No job is taken any more; those that wait fail.
    pub(crate) fn close(&self) {
        let waiting = {
            let mut state = self.lock();
            state.closed = true;
            std::mem::take(&mut state.waiting)
        };
        self.arrived.notify_all();
        for job in waiting {
            job.fail(EngineError::Stopped);
        }
    }

    pub(crate) fn waiting(&self) -> usize {
        self.lock().waiting.len()
    }

    pub(crate) fn running(&self) -> usize {
        self.running.load(Ordering::Relaxed)
    }

    pub(crate) fn set_running(&self, running: usize) {
        self.running.store(running, Ordering::Relaxed);
    }

    /// Notes that a place became free `since_last` after the one before it.
    pub(crate) fn note_release(&self, since_last: Duration) {
        let sample = usize::try_from(since_last.as_millis()).unwrap_or(usize::MAX).min(60_000);
        let old = self.release_millis.load(Ordering::Relaxed);
        self.release_millis.store((old * 7 + sample) / 8, Ordering::Relaxed);
    }
}
