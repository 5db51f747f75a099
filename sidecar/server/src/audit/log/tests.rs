use super::*;
use tempfile::TempDir;

#[tokio::test]
async fn number_8_an_entry_is_on_disk_when_its_receipt_settles() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("audit.jsonl");
    let log = Log::open(&path, LogLimits::default()).unwrap();
    for number in 0..40 {
        let receipt = log.push(json!({ "kind": "response", "number": number }));
        assert!(receipt.settled(Duration::from_secs(30)).await);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(&format!("\"number\":{number}}}")), "{number}");
        assert!(text.contains(&log.head().hash));
    }
}

/// As on a full disk: a write fails, and succeeds again later.
#[tokio::test]
async fn number_8_a_log_that_cannot_be_written_says_so_and_recovers() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("audit.jsonl");
    let log = Log::open(&path, LogLimits { file_bytes: 300, files: 50 }).unwrap();
    let push = async |log: &Log| {
        let receipt = log.push(json!({ "kind": "response" }));
        assert!(receipt.settled(Duration::from_secs(30)).await);
    };
    push(&log).await;
    assert!(!log.is_failing());
    let blocked = dir.path().join("audit.jsonl.head.new");
    std::fs::create_dir(&blocked).unwrap();
    push(&log).await;
    assert!(log.is_failing());
    std::fs::remove_dir(&blocked).unwrap();
    // It is tried again without another entry.
    for _ in 0..100 {
        if log.is_failing() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    assert!(!log.is_failing());
    push(&log).await;
    log.close();
    assert!(crate::audit::verify(&path, None, drop).is_ok());
}

/// As on a disk that refuses a new file: the old one goes on, and is left later.
#[tokio::test]
async fn number_8_a_log_that_cannot_be_rotated_goes_on_and_recovers() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("audit.jsonl");
    let log = Log::open(&path, LogLimits { file_bytes: 400, files: 50 }).unwrap();
    let blocked = dir.path().join("audit.jsonl.next");
    std::fs::create_dir(&blocked).unwrap();
    let push = async |log: &Log| {
        let receipt = log.push(json!({ "kind": "response" }));
        assert!(receipt.settled(Duration::from_secs(30)).await);
    };
    for _ in 0..4 {
        push(&log).await;
    }
    assert!(log.is_failing() && log.lost() > 0);
    std::fs::remove_dir(&blocked).unwrap();
    for _ in 0..4 {
        push(&log).await;
    }
    assert!(!log.is_failing());
    log.close();
    let verified = crate::audit::verify(&path, None, drop).unwrap();
    assert_eq!(verified.gaps, []);
    assert!(std::fs::read_dir(dir.path()).unwrap().count() > 2, "it was rotated");
}

/// A disk that hangs must not make the process keep every conversation in memory.
#[test]
fn number_22_entries_that_wait_are_bounded_by_their_bytes() {
    let text = "a".repeat(1 << 20);
    let entry = json!({ "messages": [{ "role": "user", "content": text }], "tokens": [1, 2] });
    let bytes = weight(&entry);
    assert!((1 << 20..(1 << 20) + 2000).contains(&bytes), "{bytes}");
    let (sender, receiver) = sync_channel(QUEUE);
    let thread = std::thread::spawn(|| {});
    let log = Log {
        queue: Mutex::new(Some(Queue { sender, thread, queued: 0 })),
        shared: Arc::new(Shared::new(Head::default(), 0)),
        opened: Head::default(),
    };
    for _ in 0..100 {
        drop(log.push(entry.clone()));
    }
    assert!((60..=70).contains(&log.lost()), "{} lost", log.lost());
    // One that is longer by itself is not lost for that.
    while receiver.try_recv().is_ok() {}
    log.shared.waiting_bytes.store(0, Ordering::Relaxed);
    let lost = log.lost();
    drop(log.push(json!("a".repeat(QUEUE_BYTES + 1))));
    assert_eq!(log.lost(), lost);
}
