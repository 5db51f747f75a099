use super::*;
use crate::audit::{GapReason, Lines, Log, LogLimits};
use serde_json::json;
use tempfile::TempDir;

fn written(dir: &TempDir, entries: usize, limits: LogLimits) -> PathBuf {
    let path = dir.path().join("audit.jsonl");
    let log = Log::open(&path, limits).unwrap();
    (0..entries).for_each(|number| drop(log.push(json!({ "kind": "response", "number": number }))));
    log.close();
    path
}

fn check(path: &Path) -> Result<Verified, VerifyError> {
    verify(path, None, |_| {})
}

/// What the gaps of a log that was started again say.
fn reasons(verified: &Verified) -> Vec<Vec<GapReason>> {
    verified.gaps.iter().map(|told| told.gap.reasons.clone()).collect()
}

fn keep_lines(path: &Path, count: usize) {
    let whole = std::fs::read_to_string(path).unwrap();
    let lines: Vec<_> = whole.lines().take(count).map(|line| format!("{line}\n")).collect();
    std::fs::write(path, lines.concat()).unwrap();
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
    assert_eq!(verified.gaps, []);
    let files = std::fs::read_dir(dir.path()).unwrap().count();
    assert_eq!(files, 4, "three files and the head");
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
        assert!(matches!(check(&path), Err(VerifyError::Cut { .. })), "cut after {length}");
    }
    std::fs::write(&path, "").unwrap();
    assert!(matches!(check(&path), Err(VerifyError::Cut { .. })), "emptied");
    for begin in 1..lines.len() {
        put(&lines[begin..]);
        assert!(matches!(check(&path), Err(VerifyError::Cut { .. })), "begins at {begin}");
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

/// For every length that is left, with and without rotated files.
#[test]
fn number_8_a_cut_log_is_never_whole_again_after_a_restart() {
    for limits in [LogLimits::default(), LogLimits { file_bytes: 1500, files: 8 }] {
        for left in 0..10 {
            let dir = TempDir::new().unwrap();
            let path = written(&dir, 8, limits);
            let before = check(&path).unwrap().head;
            let lines = std::fs::read_to_string(&path).unwrap().lines().count();
            keep_lines(&path, left.min(lines - 1));
            let log = Log::open(&path, limits).unwrap();
            assert_eq!((log.gaps(), log.opened()), (1, &before));
            drop(log);
            let after = check(&path).unwrap();
            assert_eq!(reasons(&after), [[GapReason::Cut]]);
            let told = &after.gaps[0];
            let first = before.seq - (lines - left.min(lines - 1)) as u64 + 1;
            assert_eq!(told.gap.missing, [Lines { first, last: before.seq }]);
            assert!(told.loses_lines(&path) && told.seq == before.seq + 1, "{told:?}");
            // Another start finds no other.
            written(&dir, 3, limits);
            assert_eq!(check(&path).unwrap().gaps.len(), 1);
        }
    }
}

#[test]
fn number_8_lines_that_are_gone_from_the_beginning_are_missed() {
    let dir = TempDir::new().unwrap();
    let limits = LogLimits { file_bytes: 800, files: 8 };
    let path = written(&dir, 8, limits);
    std::fs::remove_file(dir.path().join("audit.jsonl.000000000001")).unwrap();
    assert!(matches!(check(&path), Err(VerifyError::Cut { .. })));
    written(&dir, 1, limits);
    let told = &check(&path).unwrap().gaps[0];
    assert!(told.gap.missing[0].first == 1 && told.gap.missing.len() == 1, "{told:?}");
}

#[test]
fn number_8_a_rewritten_log_is_moved_aside() {
    let dir = TempDir::new().unwrap();
    let path = written(&dir, 8, LogLimits::default());
    let other = TempDir::new().unwrap();
    // Hangs together by itself, and has as many lines.
    std::fs::copy(written(&other, 8, LogLimits::default()), &path).unwrap();
    assert!(matches!(check(&path), Err(VerifyError::Rewritten { by: Known::Head, .. })));
    written(&dir, 1, LogLimits::default());
    let after = check(&path).unwrap();
    assert_eq!(reasons(&after), [[GapReason::Rewritten]]);
    let forged = std::fs::read(dir.path().join(&after.gaps[0].gap.set_aside[0])).unwrap();
    assert_eq!(forged, std::fs::read(other.path().join("audit.jsonl")).unwrap());
}

/// File and head cut alike: only whoever kept an anchor elsewhere can tell.
#[test]
fn number_8_an_anchor_finds_what_the_head_file_no_longer_knows() {
    let dir = TempDir::new().unwrap();
    let path = written(&dir, 2, LogLimits::default());
    let head = dir.path().join("audit.jsonl.head");
    let (log_before, head_before) = (std::fs::read(&path).unwrap(), std::fs::read(&head).unwrap());
    let early = check(&path).unwrap().head;
    written(&dir, 4, LogLimits::default());
    let late = check(&path).unwrap().head;
    let with = |anchor: &Head| verify(&path, Some(anchor), |_| {});
    for anchor in [&early, &late] {
        assert!(!with(anchor).unwrap().anchor_is_older);
    }
    let other = |seq: u64| Head { seq, hash: "0af3".repeat(16) };
    assert!(matches!(with(&other(early.seq)), Err(VerifyError::Rewritten { .. })));
    assert!(matches!(with(&other(late.seq + 1)), Err(VerifyError::Cut { .. })));
    std::fs::write(&path, log_before).unwrap();
    std::fs::write(&head, head_before).unwrap();
    assert!(check(&path).is_ok(), "cut alike");
    assert!(matches!(with(&late), Err(VerifyError::Cut { by: Known::Anchor, .. })));
    assert!(with(&early).is_ok());
    written(&dir, 9, LogLimits::default());
    assert!(matches!(with(&late), Err(VerifyError::Rewritten { by: Known::Anchor, .. })));
}

/// Each kind of damage: the log can be opened, goes on, and verifies afterwards; the evidence is
/// kept.
#[test]
fn number_8_a_damaged_log_is_kept_and_a_new_one_says_so() {
    type Damage = fn(&str) -> Vec<u8>;
    let damages: [(&str, Damage); 8] = [
        ("torn", |good| good.as_bytes()[..good.len() - 40].to_vec()),
        ("zeros", |good| [good.as_bytes(), &[0; 512]].concat()),
        ("zeros inside", |good| {
            let last = good.trim_end().rfind('\n').unwrap() + 1;
            [&good.as_bytes()[..last], &vec![0; good.len() - last - 1], b"\n"].concat()
        }),
        ("flipped", |good| good.replacen("\"number\":1", "\"number\":7", 1).into_bytes()),
        ("twice", |good| format!("{good}{}\n", good.lines().last().unwrap()).into_bytes()),
        ("crlf", |good| good.replace('\n', "\r\n").into_bytes()),
        ("blank", |good| format!("{good}\n\n").into_bytes()),
        ("no text", |good| good.bytes().map(|byte| byte | 0x80).chain(*b"\n").collect()),
    ];
    for (name, damage) in damages {
        for keeps_head in [true, false] {
            let dir = TempDir::new().unwrap();
            let path = written(&dir, 3, LogLimits::default());
            let damaged = damage(&std::fs::read_to_string(&path).unwrap());
            std::fs::write(&path, &damaged).unwrap();
            if !keeps_head {
                std::fs::remove_file(dir.path().join("audit.jsonl.head")).unwrap();
            }
            for _ in 0..3 {
                written(&dir, 2, LogLimits::default());
                let after = check(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
                assert_eq!(after.gaps.len(), 1, "{name}: {:?}", after.gaps);
                let gap = &after.gaps[0].gap;
                if gap.reasons.contains(&GapReason::Damaged) {
                    let kept = std::fs::read(dir.path().join(&gap.set_aside[0])).unwrap();
                    assert_eq!(kept, damaged, "{name}");
                    assert!(!after.gaps[0].loses_lines(&path), "{name}");
                } else {
                    assert!(gap.reasons.contains(&GapReason::Torn), "{name}: {gap:?}");
                }
            }
        }
    }
}

#[test]
fn number_8_files_that_are_moved_aside_are_bounded() {
    let dir = TempDir::new().unwrap();
    let limits = LogLimits { file_bytes: 2000, files: 3 };
    for _ in 0..12 {
        let path = written(&dir, 30, limits);
        let damaged = std::fs::read_to_string(&path).unwrap().replace("response", "reponse");
        std::fs::write(&path, damaged).unwrap();
    }
    let files = std::fs::read_dir(dir.path()).unwrap().count();
    assert!(files <= 3 + 2 + 1, "{files} files");
}
