//! Threads that compute one step together.
//!
//! A step is some hundred short parallel regions, a few microseconds each, so waking a sleeping
//! thread for every one would cost more than the work. Workers therefore spin for a moment between
//! regions, and sleep when nothing came. Tasks are claimed one by one from a shared counter, and
//! the caller takes part: a region waits only for tasks that somebody has claimed, never for a
//! worker that the system has taken off its core, so a busy node costs the share of the core that
//! is gone and little more.
#![allow(unsafe_code)]

use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle, Thread};

/// Rounds of waiting before a worker sleeps: some tens of microseconds.
const SPINS: u32 = 2_000;

/// The closure of the region that runs, behind a thin pointer: a pointer to the caller's fat
/// reference.
type Task<'a> = &'a (dyn Fn(usize) + Sync);

struct Shared {
    /// Tasks of the region (high half) and the first of them that nobody has claimed (low half). In
    /// one word, so that whoever advances it has claimed a task of the region that runs then.
    ticket: AtomicU64,
    /// Tasks of the region that are done.
    done: AtomicUsize,
    /// Valid from the moment a task is claimed until it is counted as done.
    task: AtomicPtr<()>,
    sleeping: AtomicUsize,
    panicked: AtomicBool,
    stop: AtomicBool,
}

/// A fixed set of threads. One region runs at a time.
pub(crate) struct Pool {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
    handles: Vec<Thread>,
    /// Held while a region runs.
    turn: Mutex<()>,
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool").field("threads", &self.threads()).finish()
    }
}

impl Pool {
    /// A pool of `threads` threads, the caller of [`Self::run`] included.
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

    /// Calls `task` once for each of `0..tasks`, on all threads, and returns when all are done.
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
        // All tasks of the region before are done, and a claim needs the new ticket, so nobody
        // reads these meanwhile.
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
                // A worker was taken off its core in mid-task: let it have ours.
                thread::yield_now();
            }
        }
        assert!(
            !shared.panicked.swap(false, Ordering::Relaxed),
            "a task of a parallel region panicked"
        );
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        self.handles.iter().for_each(Thread::unpark);
        for worker in self.workers.drain(..) {
            drop(worker.join());
        }
    }
}

impl Shared {
    /// Does tasks of the present region until all are claimed. Whether there was any.
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
            // SAFETY: the claim keeps the region's caller inside `run`, where the reference it
            // points to lives.
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
            // A region that began before we were counted must be seen here, or its `unpark` would
            // be missed.
            let nothing = unclaimed(self.ticket.load(Ordering::SeqCst)).is_none();
            if nothing && !self.stop.load(Ordering::SeqCst) {
                thread::park();
            }
            self.sleeping.fetch_sub(1, Ordering::SeqCst);
            idle = 0;
        }
    }
}

/// The next task of a ticket.
fn unclaimed(ticket: u64) -> Option<usize> {
    let (tasks, next) = (ticket >> 32, ticket & 0xffff_ffff);
    (next < tasks).then_some(next as usize)
}

/// A slice that tasks of one region write to at the same time, each its own part.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shards<'a, T> {
    data: *mut T,
    length: usize,
    lifetime: std::marker::PhantomData<&'a mut [T]>,
}

// SAFETY: it is a `&mut [T]` whose parts are handed out under the contract of `part`.
unsafe impl<T: Send> Send for Shards<'_, T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for Shards<'_, T> {}

impl<'a, T> Shards<'a, T> {
    pub(crate) fn new(slice: &'a mut [T]) -> Self {
        Self { data: slice.as_mut_ptr(), length: slice.len(), lifetime: std::marker::PhantomData }
    }

    /// The part that starts at `start`.
    ///
    /// # Safety
    /// No two parts that are alive at the same time overlap.
    #[allow(clippy::mut_from_ref)]
    pub(crate) unsafe fn part(&self, start: usize, length: usize) -> &mut [T] {
        assert!(start <= self.length && length <= self.length - start, "a part beyond the slice");
        // SAFETY: in bounds by the line above, exclusive by the caller's contract.
        unsafe { std::slice::from_raw_parts_mut(self.data.add(start), length) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_task_runs_once() {
        let pool = Pool::new(4).unwrap();
        for tasks in [0, 1, 2, 3, 17, 1000] {
            let counts: Vec<AtomicUsize> = (0..tasks).map(|_| AtomicUsize::new(0)).collect();
            for _ in 0..50 {
                pool.run(tasks, |task| {
                    counts[task].fetch_add(1, Ordering::Relaxed);
                });
            }
            assert!(
                counts.iter().all(|count| count.load(Ordering::Relaxed) == 50),
                "{tasks} tasks"
            );
        }
    }

    #[test]
    fn sleeping_workers_wake() {
        let pool = Pool::new(3).unwrap();
        for _ in 0..20 {
            thread::sleep(std::time::Duration::from_millis(2));
            let mut squares = vec![0; 64];
            let shards = Shards::new(&mut squares);
            // SAFETY: each task has its own element.
            pool.run(64, |task| unsafe { shards.part(task, 1) }[0] = task * task);
            assert!(squares.iter().enumerate().all(|(task, &square)| square == task * task));
        }
    }

    #[test]
    fn a_panic_in_a_task_reaches_the_caller_and_the_pool_goes_on() {
        let pool = Pool::new(2).unwrap();
        let run = || pool.run(8, |task| assert_ne!(task, 5));
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).is_err());
        pool.run(8, |_| {});
    }
}
