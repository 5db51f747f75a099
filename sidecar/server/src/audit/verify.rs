//! Whether a log is as it was written.

use super::chain::{self, Flaw, Head};
use super::files;
use serde_json::Value;
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};

/// A log that is as it was written.
#[derive(Clone, Debug, PartialEq)]
pub struct Verified {
    /// Number of the first line that is kept.
    pub first: u64,
    /// The last line.
    pub head: Head,
    /// Entries that the sidecar itself says were lost.
    pub lost: u64,
}

/// Why a log is not as it was written.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// It cannot be read.
    #[error("{} cannot be read: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A line does not fit.
    #[error("{}, line {line}: {flaw}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// Its line, from 1.
        line: usize,
        /// What does not fit.
        flaw: Flaw,
    },
    /// Lines are missing, or are there that the sidecar did not write.
    #[error(
        "the log has lines {found_first} to {found_last}, and its head says {first} to {last}{}: {}",
        if *.other_hash { ", with another last line" } else { "" },
        if found_last < last { "it was cut" } else { "lines were added or removed, or the sidecar did not stop in order" }
    )]
    Ends {
        /// First line by the head.
        first: u64,
        /// Last line by the head.
        last: u64,
        /// First line that is there.
        found_first: u64,
        /// Last line that is there.
        found_last: u64,
        /// Whether the last line is another one.
        other_hash: bool,
    },
    /// There is no head file, and no hash was given.
    #[error(
        "{}.head is missing, so it cannot be said whether lines are missing at the end: give the last hash by --head",
        path.display()
    )]
    NoHead {
        /// The log.
        path: PathBuf,
    },
}

/// Reads a whole log, rotated files included, and calls `each` with every entry. `expected` is the
/// hash of its last line from elsewhere (the sidecar logs it when it stops or rotates); without it,
/// the head file beside the log says it.
///
/// # Errors
/// At the first line that does not fit, or if lines are missing.
pub fn verify(
    path: &Path,
    expected: Option<&str>,
    mut each: impl FnMut(Value),
) -> Result<Verified, VerifyError> {
    let failed = |source| VerifyError::Io { path: path.to_owned(), source };
    let mut files: Vec<PathBuf> =
        files::older(path).map_err(failed)?.into_iter().map(|(_, file)| file).collect();
    files.push(path.to_owned());
    let (mut head, mut first, mut lost) = (None, None, 0);
    for file in &files {
        let failed = |source| VerifyError::Io { path: file.clone(), source };
        let mut reader = BufReader::new(File::open(file).map_err(failed)?);
        let mut bytes = Vec::new();
        for line in 1.. {
            bytes.clear();
            if reader.read_until(b'\n', &mut bytes).map_err(failed)? == 0 {
                break;
            }
            let wrong = |flaw| VerifyError::Line { path: file.clone(), line, flaw };
            let text = bytes.strip_suffix(b"\n").and_then(|text| std::str::from_utf8(text).ok());
            let text = text.ok_or_else(|| wrong(Flaw::Malformed))?;
            let sound = match &head {
                Some(head) => chain::follow(head, text),
                None => chain::open(text),
            };
            let sound = sound.map_err(wrong)?;
            first.get_or_insert(sound.head.seq);
            if sound.entry["kind"] == "lost" {
                lost += sound.entry["entries"].as_u64().unwrap_or(0);
            }
            head = Some(sound.head);
            each(sound.entry);
        }
    }
    let (head, first) = (head.unwrap_or_default(), first.unwrap_or(1));
    let ends = match expected {
        Some(hash) => files::Ends { first, last: head.seq, hash: hash.to_owned() },
        None => files::read_ends(path)
            .map_err(failed)?
            .ok_or_else(|| VerifyError::NoHead { path: path.to_owned() })?,
    };
    let other_hash = ends.hash != head.hash;
    if ends.first != first || ends.last != head.seq || other_hash {
        let (last, found_first, found_last) = (ends.last, first, head.seq);
        return Err(VerifyError::Ends {
            first: ends.first,
            last,
            found_first,
            found_last,
            other_hash,
        });
    }
    Ok(Verified { first, head, lost })
}

#[cfg(test)]
mod tests {
    use super::super::{Limits, Log};
    use super::*;
    use serde_json::json;
    use tempfile::TempDir;

    fn written(dir: &TempDir, entries: usize, limits: Limits) -> PathBuf {
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
    fn a_log_goes_on_over_restarts_and_rotations_and_stays_bounded() {
        let dir = TempDir::new().unwrap();
        let limits = Limits { file_bytes: 2000, files: 3 };
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
    fn a_log_that_was_cut_edited_or_moved_about_is_found() {
        let dir = TempDir::new().unwrap();
        let path = written(&dir, 8, Limits::default());
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
        assert!(matches!(
            check(&path),
            Err(VerifyError::Line { line: 4, flaw: Flaw::OutOfPlace, .. })
        ));
        put(&lines);
        assert!(check(&path).is_ok());
        std::fs::remove_file(dir.path().join("audit.jsonl.head")).unwrap();
        assert!(matches!(check(&path), Err(VerifyError::NoHead { .. })));
    }

    #[test]
    fn a_torn_line_is_cut_off_and_a_damaged_one_is_not_written_after() {
        let dir = TempDir::new().unwrap();
        let path = written(&dir, 3, Limits::default());
        let whole = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, format!("{whole}{{\"seq\":6,\"pre")).unwrap();
        written(&dir, 1, Limits::default());
        assert_eq!(check(&path).unwrap().head.seq, 8);
        let damaged = std::fs::read_to_string(&path).unwrap().replace("stopped", "stepped");
        std::fs::write(&path, damaged).unwrap();
        assert!(Log::open(&path, Limits::default()).is_err());
    }
}
