//! A thread pool for many short parallel loops.
//!
//! One step of the engine runs some hundred parallel loops of a few microseconds each; waking a
//! sleeping thread for each would cost more than the work itself. Workers therefore spin for a
//! moment between loops and sleep only when none follows. Tasks are claimed one by one from a
//! shared counter, and the calling thread takes part. A loop waits only for tasks that some thread
//! has claimed, never for a worker that the operating system has taken off its core, so a busy node
//! costs the lost share of the core and little more.
#![allow(unsafe_code)]

mod disjoint;

pub(crate) use disjoint::DisjointSlice;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle, Thread};

/// Iterations of the spin loop before a worker sleeps: some tens of microseconds.
const SPINS: u32 = 2_000;

/// The loop's body. `Shared` stores it as a thin pointer to this reference, which is fat.
type Task<'a> = &'a (dyn Fn(usize) + Sync);

struct Shared {
    /// Number of tasks (high half) and the first unclaimed task (low half). One word, so that
    /// advancing it claims a task of the loop that runs at that moment.
    ticket: AtomicU64,
    /// Tasks that are done.
    done: AtomicUsize,
    /// A [`Task`], valid from the moment a task is claimed until it is counted as done.
    task: AtomicPtr<()>,
    sleeping: AtomicUsize,
    panicked: AtomicBool,
    stop: AtomicBool,
}

/// A fixed set of threads. One loop runs at a time.
pub(crate) struct ThreadPool {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
    handles: Vec<Thread>,
    /// Held while a loop runs.
    turn: Mutex<()>,
}

impl std::fmt::Debug for ThreadPool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ThreadPool").field("threads", &self.threads()).finish()
    }
}

impl ThreadPool {
    /// A pool of `threads` threads, counting the caller of [`Self::run`].
    ///
    /// # Errors
    /// The operating system refuses a thread.
    pub(crate) fn new(threads: usize) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            ticket: AtomicU64::new(0),
            done: AtomicUsize::new(0),
            task: AtomicPtr::new(std::ptr::null_mut()),
            sleeping: AtomicUsize::new(0),
            panicked: AtomicBool::new(false),
            stop: AtomicBool::new(false),
        });
        let mut pool =
            Self { shared, workers: Vec::new(), handles: Vec::new(), turn: Mutex::new(()) };
        for index in 1..threads {
            let shared = pool.shared.clone();
            let worker = thread::Builder::new()
                .name(format!("compute-{index}"))
                .spawn(move || shared.work())?;
            pool.handles.push(worker.thread().clone());
            pool.workers.push(worker);
        }
        Ok(pool)
    }

    pub(crate) fn threads(&self) -> usize {
        self.workers.len() + 1
    }

    /// Calls `task` once for each of `0..tasks`, on all threads, and returns when all calls have
    /// returned.
    ///
    /// # Panics
    /// When a task panics.
    pub(crate) fn run(&self, tasks: usize, task: impl Fn(usize) + Sync) {
        if tasks <= 1 || self.workers.is_empty() {
            (0..tasks).for_each(task);
            return;
        }
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let shared = &*self.shared;
        let task: Task<'_> = &task;
        // All tasks of the previous loop are done, and claiming one needs the new ticket: no thread
        // reads these two meanwhile.
        shared.done.store(0, Ordering::Relaxed);
        shared.task.store((&raw const task).cast_mut().cast(), Ordering::Relaxed);
        shared.ticket.store((tasks as u64) << 32, Ordering::SeqCst);
        if shared.sleeping.load(Ordering::SeqCst) > 0 {
            self.handles.iter().for_each(Thread::unpark);
        }
        shared.help();
        let mut spins = 0_u32;
        while shared.done.load(Ordering::Acquire) < tasks {
            spins += 1;
            if spins < SPINS {
                std::hint::spin_loop();
            } else {
                // A worker was preempted in the middle of a task: let it have this core.
                thread::yield_now();
            }
        }
        assert!(
            !shared.panicked.swap(false, Ordering::Relaxed),
            "a task of a parallel loop panicked"
        );
    }
}

impl Drop for ThreadPool {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        self.handles.iter().for_each(Thread::unpark);
        for worker in self.workers.drain(..) {
            drop(worker.join());
        }
    }
}

impl Shared {
    /// Runs tasks of the current loop until all are claimed. Returns whether it ran any.
    fn help(&self) -> bool {
        let mut helped = false;
        loop {
            let ticket = self.ticket.load(Ordering::Acquire);
            let Some(next) = unclaimed(ticket) else { return helped };
            if self
                .ticket
                .compare_exchange_weak(ticket, ticket + 1, Ordering::AcqRel, Ordering::Relaxed)
                .is_err()
            {
                continue;
            }
            // SAFETY: the claim keeps the caller inside `run`, where the reference that it points
            // to lives.
            let task: Task<'_> = unsafe { *self.task.load(Ordering::Relaxed).cast::<Task<'_>>() };
            let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| task(next)));
            if outcome.is_err() {
                self.panicked.store(true, Ordering::Relaxed);
            }
            self.done.fetch_add(1, Ordering::Release);
            helped = true;
        }
    }

    fn work(&self) {
        let mut idle = 0_u32;
        while !self.stop.load(Ordering::Relaxed) {
            if self.help() {
                idle = 0;
                continue;
            }
            idle += 1;
            if idle < SPINS {
                std::hint::spin_loop();
                continue;
            }
            self.sleeping.fetch_add(1, Ordering::SeqCst);
            // A loop that began before this worker was counted as sleeping does not unpark it, so
            // it must be noticed here.
            let nothing = unclaimed(self.ticket.load(Ordering::SeqCst)).is_none();
            if nothing && !self.stop.load(Ordering::SeqCst) {
                thread::park();
            }
            self.sleeping.fetch_sub(1, Ordering::SeqCst);
            idle = 0;
        }
    }
}

/// The first unclaimed task of a ticket.
fn unclaimed(ticket: u64) -> Option<usize> {
    let (tasks, next) = (ticket >> 32, ticket & 0xffff_ffff);
    (next < tasks).then_some(next as usize)
}

#[cfg(test)]
mod tests;
