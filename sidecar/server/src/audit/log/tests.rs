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
