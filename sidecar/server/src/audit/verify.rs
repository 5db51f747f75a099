//! Whether a log is as it was written.

use super::chain::{Flaw, Head};
use super::files::{Ends, read_head_file};
use super::gap::RecordedGap;
use super::scan::{FlawedLine, Scan, scan};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// A log whose lines are as they were written.
#[derive(Clone, Debug, PartialEq)]
pub struct Verified {
    /// Number of the first line that is kept.
    pub first: u64,
    /// The last line.
    pub head: Head,
    /// Entries that were lost, by the log's own account.
    pub lost: u64,
    /// Gaps that starts found, by the log's own account.
    pub gaps: Vec<RecordedGap>,
    /// What the anchor that was given says of it.
    pub anchor: Compared,
}

/// What a comparison with an anchor showed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compared {
    /// There was none to compare with.
    #[default]
    Nothing,
    /// The log holds its line.
    Same,
    /// It is older than the first line that is kept, so it says nothing.
    Older,
    /// Its line is one of those that the gap leaves out which the line of this number tells of.
    LeftOut(u64),
}

/// Why a log is not as it was written.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// It cannot be read.
    #[error("{} cannot be read", path.display())]
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
        /// Number of the line in the file, from 1.
        line: usize,
        /// What is wrong with it.
        flaw: Flaw,
    },
    /// Lines are missing, by the head file or by the anchor.
    #[error(
        "the log was cut: it has lines {found_first} to {found_last}, and its {by} says {first} to \
         {last}"
    )]
    Cut {
        /// What knows of more.
        by: Known,
        /// First line, by that.
        first: u64,
        /// Last line, by that.
        last: u64,
        /// First line that is there.
        found_first: u64,
        /// Last line that is there.
        found_last: u64,
    },
    /// Another log: a line is not the one that the head file or the anchor knows.
    #[error("line {seq} is not the one that the log's {by} knows: the log was rewritten")]
    Rewritten {
        /// What knows it.
        by: Known,
        /// Number of the line.
        seq: u64,
    },
    /// There is no head file, and no anchor was given.
    #[error(
        "{}.head is missing or damaged, so lines may be missing at the end: give an anchor with \
         --head",
        path.display()
    )]
    NoHead {
        /// The log.
        path: PathBuf,
    },
}

/// What knows what a log must hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// The head file beside it.
    Head,
    /// An anchor that was kept elsewhere.
    Anchor,
}

impl std::fmt::Display for Known {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Head => "head file",
            Self::Anchor => "anchor",
        })
    }
}

/// Reads a whole log, including rotated files, and calls `each` with every entry. Compares it with
/// the head file, and with an anchor from elsewhere, where there is one: a head that it had at some
/// time.
///
/// # Errors
/// At the first line that does not fit, or if lines are missing that head file or anchor know.
pub fn verify(
    path: &Path,
    anchor: Option<&Head>,
    mut each: impl FnMut(Value),
) -> Result<Verified, VerifyError> {
    let failed = |source| VerifyError::Io { path: path.to_owned(), source };
    // Before the lines: a log that is being written may only have more.
    let head_file = read_head_file(path).map_err(failed)?;
    let ends = head_file.ends();
    let wanted: Vec<u64> =
        ends.iter().map(|ends| ends.last).chain(anchor.map(|anchor| anchor.seq)).collect();
    let scan = scan(path, &wanted, |line| each(line.entry)).map_err(failed)?;
    if scan.files.is_empty() && ends.is_none() {
        return Err(failed(std::io::ErrorKind::NotFound.into()));
    }
    if let Some(FlawedLine { file, line, flaw }) = &scan.flaw {
        let path = scan.files[*file].path.clone();
        return Err(VerifyError::Line { path, line: *line, flaw: *flaw });
    }
    match (ends, anchor) {
        (None, None) => return Err(VerifyError::NoHead { path: path.to_owned() }),
        (Some(ends), _) => against_head_file(&scan, ends)?,
        (None, Some(_)) => {}
    }
    let anchor = anchor.map_or(Ok(Compared::Nothing), |anchor| against_anchor(&scan, anchor))?;
    let first = scan.first.unwrap_or(1);
    Ok(Verified { first, head: scan.end, lost: scan.lost, gaps: scan.gaps, anchor })
}

fn against_head_file(scan: &Scan, ends: &Ends) -> Result<(), VerifyError> {
    let (by, found_first) = (Known::Head, scan.first.unwrap_or(1));
    if scan.end.seq < ends.last || found_first > ends.first {
        return Err(VerifyError::Cut {
            by,
            first: ends.first,
            last: ends.last,
            found_first,
            found_last: scan.end.seq,
        });
    }
    if scan.hashes.get(&ends.last) != Some(&ends.hash) {
        return Err(VerifyError::Rewritten { by, seq: ends.last });
    }
    Ok(())
}

fn against_anchor(scan: &Scan, anchor: &Head) -> Result<Compared, VerifyError> {
    let (by, first) = (Known::Anchor, scan.first.unwrap_or(1));
    let Head { seq, hash } = anchor;
    if scan.end.seq < *seq {
        let (last, found_last) = (*seq, scan.end.seq);
        return Err(VerifyError::Cut { by, first, last, found_first: first, found_last });
    }
    let known = match seq + 1 == first {
        true => scan.before.as_ref(),
        false if seq + 1 < first => return Ok(Compared::Older),
        false => scan.hashes.get(seq),
    };
    if known == Some(hash) {
        return Ok(Compared::Same);
    }
    // Between two lines that a gap is told of there is none to compare with.
    let left_out = scan.gaps.iter().find(|told| known.is_none() && told.leaves_out(*seq));
    left_out.map(|told| Compared::LeftOut(told.seq)).ok_or(VerifyError::Rewritten { by, seq: *seq })
}

#[cfg(test)]
mod tests;
