use super::*;

#[tokio::test(start_paused = true)]
async fn a_key_pushed_twice_is_worked_on_once_and_never_by_two_workers() {
    let queue = Queue::new();
    queue.push("a");
    queue.push("a");
    queue.push("b");
    assert_eq!(queue.next().await, "a");
    queue.push("a");
    assert_eq!(queue.next().await, "b");
    assert!(queue.pop_due(Instant::now()).is_err(), "a is running");
    queue.done(&"a", None);
    assert_eq!(queue.next().await, "a");
    queue.done(&"a", None);
    queue.done(&"b", None);
    assert!(queue.pop_due(Instant::now() + Duration::from_secs(1000)).is_err());
}

#[tokio::test(start_paused = true)]
async fn the_sooner_of_two_due_times_counts() {
    let queue = Queue::new();
    let start = Instant::now();
    queue.push_at("a", start + Duration::from_secs(60));
    queue.push_at("a", start + Duration::from_secs(5));
    queue.push_at("a", start + Duration::from_secs(30));
    assert_eq!(queue.next().await, "a");
    assert_eq!(start.elapsed().as_secs(), 5);
}

#[tokio::test(start_paused = true)]
async fn each_key_has_its_own_backoff_of_up_to_a_minute() {
    let queue = Queue::new();
    queue.push("a");
    let mut waits = Vec::new();
    for _ in 0..12 {
        let key = queue.next().await;
        waits.push(queue.failed(&key));
    }
    let waits: Vec<_> = waits.iter().map(Duration::as_millis).collect();
    let doubling = [200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 51_200];
    assert_eq!(waits[..9], doubling);
    assert_eq!(waits[9..], [60_000; 3]);
    queue.push("b");
    assert_eq!(queue.next().await, "b");
}
