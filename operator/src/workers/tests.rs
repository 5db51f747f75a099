use super::*;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

#[tokio::test(start_paused = true)]
async fn item_18_requests_that_hang_do_not_keep_others_waiting() {
    let queue = Queue::new();
    (0..40).for_each(|key| queue.push(key));
    let done: Arc<Mutex<Vec<usize>>> = Arc::default();
    let started = tokio::time::Instant::now();
    let work = |key: usize| {
        let done = Arc::clone(&done);
        async move {
            if key < 30 {
                std::future::pending::<()>().await;
            }
            done.lock().unwrap().push(key);
        }
    };
    tokio::select! {
        () = dispatch(&queue, work) => panic!("the dispatcher ended"),
        () = async {
            while done.lock().unwrap().len() < 10 {
                assert!(started.elapsed() < Duration::from_secs(60), "{done:?}");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        } => {}
    }
}

#[tokio::test(start_paused = true)]
async fn quick_work_takes_few_places_and_all_of_it_is_bounded() {
    let queue = Queue::new();
    (0..500).for_each(|key| queue.push(key));
    let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let work = |seconds: u64| {
        let (running, most) = (Arc::clone(&running), Arc::clone(&most));
        move |_: usize| {
            let (running, most) = (Arc::clone(&running), Arc::clone(&most));
            async move {
                most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_secs(seconds)).await;
                running.fetch_sub(1, Ordering::SeqCst);
            }
        }
    };
    let a_while = || tokio::time::sleep(Duration::from_secs(50));
    tokio::select! { () = dispatch(&queue, work(1)) => {}, () = a_while() => {} }
    assert_eq!(most.load(Ordering::SeqCst), PLACES);
    running.store(0, Ordering::SeqCst);
    tokio::select! { () = dispatch(&queue, work(3600)) => {}, () = a_while() => {} }
    assert_eq!(most.load(Ordering::SeqCst), MAX_RUNNING);
    assert!(queue.longest_wait().unwrap() > Duration::from_secs(40), "and the rest waits");
}
