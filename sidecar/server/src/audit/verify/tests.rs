use super::*;
use crate::audit::{GapReason, Lines, Log, LogLimits, chain};
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
        assert_eq!(with(anchor).unwrap().anchor, Compared::Same);
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

/// What is changed while a process writes the log is told when it writes next, and counted: not
/// only at the next start.
#[tokio::test]
async fn number_8_a_log_that_is_changed_while_it_is_written_says_so_at_once() {
    type Change = fn(&Path);
    let replaced = |path: &Path, lines: usize| {
        let other = path.with_extension("other");
        std::fs::copy(path, &other).unwrap();
        keep_lines(&other, lines);
        std::fs::rename(other, path).unwrap();
    };
    let changes: [(&str, Change); 6] = [
        ("removed", |path| std::fs::remove_file(path).unwrap()),
        ("emptied", |path| std::fs::write(path, "").unwrap()),
        ("cut", |path| keep_lines(path, 3)),
        ("replaced by a link", |path| {
            let other = path.with_extension("moved");
            std::fs::rename(path, &other).unwrap();
            keep_lines(&other, 2);
            std::os::unix::fs::symlink(other, path).unwrap();
        }),
        ("with its head", |path| {
            std::fs::remove_file(path).unwrap();
            std::fs::remove_file(path.with_extension("jsonl.head")).unwrap();
        }),
        ("appended to", |path| {
            let text = std::fs::read_to_string(path).unwrap();
            std::fs::write(path, format!("{text}{}\n", text.lines().last().unwrap())).unwrap();
        }),
    ];
    for (name, change) in changes {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("audit.jsonl");
        let log = Log::open(&path, LogLimits::default()).unwrap();
        let put = async |number: u64| {
            let receipt = log.push(json!({ "kind": "response", "number": number }));
            assert!(receipt.settled(std::time::Duration::from_secs(30)).await);
        };
        for number in 0..5 {
            put(number).await;
        }
        let (before, gaps) = (log.head(), log.gaps());
        change(&path);
        put(5).await;
        assert_eq!((gaps, log.gaps()), (0, 1), "{name}");
        assert!(log.head().seq > before.seq, "{name}: a number is never used twice");
        put(6).await;
        log.close();
        let after = check(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(after.gaps.len(), 1, "{name}");
        let written = std::fs::read_to_string(&path).unwrap();
        assert!(written.contains("\"number\":5") && written.contains("\"number\":6"), "{name}");
    }
    let dir = TempDir::new().unwrap();
    let path = written(&dir, 5, LogLimits::default());
    let log = Log::open(&path, LogLimits::default()).unwrap();
    replaced(&path, 2);
    drop(log);
    assert!(check(&path).unwrap().gaps[0].loses_lines(&path));
}

/// The chain has no key: whoever writes the log can write a gap too.
#[test]
fn number_8_a_gap_that_was_made_up_hides_no_lines() {
    let dir = TempDir::new().unwrap();
    let path = written(&dir, 8, LogLimits::default());
    let text = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<_> = text.lines().collect();
    let hidden = chain::open(lines[5]).unwrap().head;
    // Lines 4 to 9 give way to an entry that says that nothing is missing.
    let (mut forged, mut head) = (lines[..3].join("\n") + "\n", Head { seq: 9, ..hidden.clone() });
    for entry in [json!({ "kind": "gap", "reasons": ["torn"] }), json!({ "kind": "stopped" })] {
        let line;
        (line, head) = chain::seal(&head, "2026-01-01T00:00:00Z", &entry).unwrap();
        forged += &line;
    }
    std::fs::write(&path, forged).unwrap();
    crate::audit::files::write_ends(&path, 1, &head).unwrap();
    let found = check(&path).unwrap();
    assert!(found.gaps[0].loses_lines(&path), "{found:?}");
    let found = verify(&path, Some(&hidden), |_| {}).unwrap();
    assert_eq!(found.anchor, Compared::LeftOut(10));
    // One that begins behind the anchor, as if the rest had been rotated away.
    let (line, head) =
        chain::seal(&Head { seq: 40, ..hidden.clone() }, "", &json!({ "kind": "started" }))
            .unwrap();
    std::fs::write(&path, line).unwrap();
    crate::audit::files::write_ends(&path, 41, &head).unwrap();
    assert_eq!(verify(&path, Some(&hidden), |_| {}).unwrap().anchor, Compared::Older);
}

/// Numbers that only an attacker writes: they neither stop the sidecar nor wrap around.
#[test]
fn number_8_numbers_beyond_any_log_are_damage() {
    for seq in [u64::MAX, u64::MAX - 1, chain::MAX_SEQ + 1] {
        let dir = TempDir::new().unwrap();
        let path = written(&dir, 3, LogLimits::default());
        let head = Head { seq: seq - 1, hash: "0".repeat(64) };
        let (line, head) =
            chain::seal(&head, "", &json!({ "kind": "gap", "reasons": [] })).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, text + &line).unwrap();
        crate::audit::files::write_ends(&path, 1, &head).unwrap();
        assert!(check(&path).is_err());
        written(&dir, 2, LogLimits::default());
        let after = check(&path).unwrap();
        assert_eq!(reasons(&after), [[GapReason::HeadUnreadable, GapReason::Damaged]]);
        assert!(after.head.seq < 20, "{after:?}");
        assert!(format!("{seq}:{}", "0".repeat(64)).parse::<Head>().is_err());
    }
}

#[test]
fn number_8_a_log_has_one_writer() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("audit.jsonl");
    let limits = LogLimits { file_bytes: 500, files: 9 };
    let log = Log::open(&path, limits).unwrap();
    for round in 0..2 {
        let second = Log::open(&path, limits).unwrap_err();
        let told = personaguard_terms::with_causes(&second);
        assert!(told.contains("another process"), "{round}: {told}");
        // Also once the file is another one.
        (0..20).for_each(|number| drop(log.push(json!({ "kind": "response", "number": number }))));
        while log.written() < 21 {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }
    drop(log);
    assert_eq!(check(&path).unwrap().gaps, []);
    assert!(Log::open(&path, limits).is_ok());
}
