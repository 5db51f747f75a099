//! What a start makes of the log that it finds: it compares it with what the head file remembers,
//! keeps the evidence of whatever does not fit, and continues the chain behind it.

use super::chain::Head;
use super::files::{Ends, HeadFile, LogLimits, set_aside};
use super::gap::{Gap, GapReason, Lines};
use super::scan::{Scan, scan};
use std::fs::OpenOptions;
use std::path::{Path, PathBuf};

/// Where a start continues a log.
#[derive(Debug)]
pub(super) struct Start {
    /// The line that the next one follows.
    pub(super) head: Head,
    /// Number of the first line that is kept.
    pub(super) first: u64,
    /// Number of the first line in the file that is being written.
    pub(super) first_in_file: u64,
    /// Bytes of that file.
    pub(super) length: u64,
    /// What is wrong with the log, to be entered first.
    pub(super) gap: Option<Gap>,
    /// Gaps that the log tells of already.
    pub(super) known_gaps: u64,
}

/// Reads the log at `path`, and makes it fit to be continued. `head_file` is what is remembered of
/// it.
pub(super) fn start(
    path: &Path,
    limits: LogLimits,
    head_file: &HeadFile,
) -> std::io::Result<Start> {
    let ends = head_file.ends();
    let wanted: Vec<u64> = ends.iter().map(|ends| ends.last).collect();
    let mut scan = scan(path, &wanted, |_| {})?;
    let mut gap = inspect(&scan, head_file);
    let head = resume_after(&scan, ends);
    if let Some(gap) = &mut gap {
        gap.expected = ends.map(Ends::head);
        gap.found = (scan.end.seq > 0).then(|| scan.end.clone());
        let surrendered = surrendered(&scan, gap);
        if !surrendered.is_empty() {
            scan.files.truncate(scan.files.len() - surrendered.len());
            let keep = limits.files.saturating_sub(1);
            let moved = set_aside(path, &surrendered, head.seq + 1, keep)?;
            let name = |file: &PathBuf| {
                file.file_name().unwrap_or_default().to_string_lossy().into_owned()
            };
            gap.set_aside = moved.iter().map(name).collect();
        }
    }
    let first = scan.files.iter().find_map(|file| file.first).unwrap_or(head.seq + 1);
    let current = scan.files.last().filter(|file| file.path == path);
    let (length, first_in_file) =
        current.map_or((0, None), |current| (current.length, current.first));
    if current.is_some_and(|current| current.torn > 0) {
        OpenOptions::new().write(true).open(path)?.set_len(length)?;
    }
    let known_gaps = scan.gaps.len() as u64;
    let first_in_file = first_in_file.unwrap_or(head.seq + 1);
    Ok(Start { head, first, first_in_file, length, gap, known_gaps })
}

/// What is wrong, if anything is.
fn inspect(scan: &Scan, head_file: &HeadFile) -> Option<Gap> {
    let mut gap = Gap::new(Vec::new());
    let is_torn = scan.flaw.is_none() && scan.files.iter().any(|file| file.torn > 0);
    let is_empty = scan.end.seq == 0 && scan.flaw.is_none() && !is_torn;
    match head_file {
        HeadFile::Missing if !is_empty => gap.reasons.push(GapReason::HeadMissing),
        HeadFile::Unreadable => gap.reasons.push(GapReason::HeadUnreadable),
        HeadFile::Missing | HeadFile::Ends(_) => {}
    }
    if scan.flaw.is_some() {
        gap.reasons.push(GapReason::Damaged);
    }
    if is_torn {
        gap.reasons.push(GapReason::Torn);
    }
    if let HeadFile::Ends(ends) = head_file {
        if let Some(first) = scan.first.filter(|first| *first > ends.first) {
            gap.missing.push(Lines { first: ends.first, last: first - 1 });
        }
        let end = scan.end.seq;
        if end >= ends.last {
            if scan.hashes.get(&ends.last) != Some(&ends.hash) {
                gap.reasons.push(GapReason::Rewritten);
            }
        } else if scan.flaw.is_none() {
            gap.missing.push(Lines { first: ends.first.max(end + 1), last: ends.last });
        }
        if !gap.missing.is_empty() {
            gap.reasons.push(GapReason::Cut);
        }
    }
    (!gap.reasons.is_empty()).then_some(gap)
}

/// The files that cannot be continued, and everything after them.
fn surrendered(scan: &Scan, gap: &Gap) -> Vec<PathBuf> {
    let from = match &scan.flaw {
        _ if gap.reasons.contains(&GapReason::Rewritten) => 0,
        Some(flaw) => flaw.file,
        None => return Vec::new(),
    };
    scan.files[from..].iter().map(|file| file.path.clone()).collect()
}

/// The line to continue after: of the remembered one and the last one that is there, the later. A
/// number is never used twice, so that whoever keeps an older head elsewhere sees no way back.
fn resume_after(scan: &Scan, ends: Option<&Ends>) -> Head {
    let Some(ends) = ends else { return scan.end.clone() };
    let is_known = scan.hashes.get(&ends.last) == Some(&ends.hash);
    match scan.end.seq > ends.last {
        true if is_known => scan.end.clone(),
        true => Head { seq: scan.end.seq, hash: ends.hash.clone() },
        false => ends.head(),
    }
}
