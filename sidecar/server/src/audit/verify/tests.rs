use super::*;
use crate::audit::{Log, LogLimits};
use serde_json::json;
use tempfile::TempDir;

fn written(dir: &TempDir, entries: usize, limits: LogLimits) -> PathBuf {
    let path = dir.path().join("audit.jsonl");
    let log = Log::open(&path, limits).unwrap();
    (0..entries).for_each(|number| log.push(json!({ "kind": "response", "number": number })));
    log.close();
    path
}

fn check(path: &Path) -> Result<Verified, VerifyError> {
    verify(path, None, |_| {})
}

#[test]
fn a_log_continues_over_restarts_and_rotations_and_stays_bounded() {
    let dir = TempDir::new().unwrap();
    let limits = LogLimits { file_bytes: 2000, files: 3 };
    written(&dir, 5, limits);
    let path = written(&dir, 5, limits);
    let mut seen = Vec::new();
    let verified = verify(&path, None, |entry| seen.push(entry)).unwrap();
    assert_eq!((verified.first, verified.head.seq, verified.lost), (1, 14, 0));
    let kinds: Vec<_> = seen.iter().map(|entry| entry["kind"].as_str().unwrap()).collect();
    assert_eq!(
        (kinds[0], kinds[6], kinds[7], kinds[13]),
        ("started", "stopped", "started", "stopped")
    );
    written(&dir, 100, limits);
    let verified = check(&path).unwrap();
    assert!(verified.first > 14 && verified.head.seq == 116, "{verified:?}");
    let files = std::fs::read_dir(dir.path()).unwrap().count();
    assert_eq!(files, 4, "three files and the head");
    assert!(verify(&path, Some(&verified.head.hash), |_| {}).is_ok());
    assert!(verify(&path, Some(&"0".repeat(64)), |_| {}).is_err());
}

#[test]
fn a_log_that_was_cut_edited_or_reordered_is_found() {
    let dir = TempDir::new().unwrap();
    let path = written(&dir, 8, LogLimits::default());
    let whole = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<_> = whole.lines().collect();
    let put = |lines: &[&str]| std::fs::write(&path, lines.join("\n") + "\n").unwrap();
    for length in 1..lines.len() {
        put(&lines[..length]);
        assert!(matches!(check(&path), Err(VerifyError::Ends { .. })), "cut after {length}");
    }
    std::fs::write(&path, "").unwrap();
    assert!(matches!(check(&path), Err(VerifyError::Ends { .. })), "emptied");
    for begin in 1..lines.len() {
        put(&lines[begin..]);
        assert!(matches!(check(&path), Err(VerifyError::Ends { .. })), "begins at {begin}");
    }
    let edited = lines[3].replace("\"number\":2", "\"number\":3");
    put(&[&lines[..3], &[edited.as_str()], &lines[4..]].concat());
    assert!(matches!(check(&path), Err(VerifyError::Line { line: 4, flaw: Flaw::Edited, .. })));
    put(&[&lines[..3], &[lines[4], lines[3]], &lines[5..]].concat());
    assert!(matches!(check(&path), Err(VerifyError::Line { line: 4, flaw: Flaw::OutOfPlace, .. })));
    put(&lines);
    assert!(check(&path).is_ok());
    std::fs::remove_file(dir.path().join("audit.jsonl.head")).unwrap();
    assert!(matches!(check(&path), Err(VerifyError::NoHead { .. })));
}

#[test]
fn a_torn_line_is_cut_off_and_nothing_is_written_after_a_damaged_one() {
    let dir = TempDir::new().unwrap();
    let path = written(&dir, 3, LogLimits::default());
    let whole = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, format!("{whole}{{\"seq\":6,\"pre")).unwrap();
    written(&dir, 1, LogLimits::default());
    assert_eq!(check(&path).unwrap().head.seq, 8);
    let damaged = std::fs::read_to_string(&path).unwrap().replace("stopped", "stepped");
    std::fs::write(&path, damaged).unwrap();
    assert!(Log::open(&path, LogLimits::default()).is_err());
}
