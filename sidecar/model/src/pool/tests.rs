use super::*;

#[test]
fn every_task_runs_once() {
    let pool = ThreadPool::new(4).unwrap();
    for tasks in [0, 1, 2, 3, 17, 1000] {
        let counts: Vec<AtomicUsize> = (0..tasks).map(|_| AtomicUsize::new(0)).collect();
        for _ in 0..50 {
            pool.run(tasks, |task| {
                counts[task].fetch_add(1, Ordering::Relaxed);
            });
        }
        assert!(counts.iter().all(|count| count.load(Ordering::Relaxed) == 50), "{tasks} tasks");
    }
}

#[test]
fn sleeping_workers_wake() {
    let pool = ThreadPool::new(3).unwrap();
    for _ in 0..20 {
        thread::sleep(std::time::Duration::from_millis(2));
        let mut squares = vec![0; 64];
        let parts = DisjointSlice::new(&mut squares);
        // SAFETY: each task has its own element.
        pool.run(64, |task| unsafe { parts.slice_mut(task, 1) }[0] = task * task);
        assert!(squares.iter().enumerate().all(|(task, &square)| square == task * task));
    }
}

#[test]
fn a_panic_in_a_task_reaches_the_caller_and_the_pool_goes_on() {
    let pool = ThreadPool::new(2).unwrap();
    let run = || pool.run(8, |task| assert_ne!(task, 5));
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).is_err());
    pool.run(8, |_| {});
}
