//! Whether a log is as it was written.

use super::chain::{self, Flaw, Head, Line};
use super::files::{Ends, read_ends, rotated_files};
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
    /// Entries that were lost, by the log's own account.
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
        /// Number of the line in the file, from 1.
        line: usize,
        /// What is wrong with it.
        flaw: Flaw,
    },
    /// Lines are missing, or there are some that the sidecar did not write.
    #[error(
        "the log has lines {found_first} to {found_last}, and its head says {first} to {last}{}: {}",
        if *.other_hash { ", with a different last line" } else { "" },
        if found_last < last {
            "it was cut"
        } else {
            "lines were added or removed, or the sidecar did not stop in order"
        }
    )]
    Ends {
        /// First line, by the head.
        first: u64,
        /// Last line, by the head.
        last: u64,
        /// First line that is there.
        found_first: u64,
        /// Last line that is there.
        found_last: u64,
        /// Whether the last line has another hash.
        other_hash: bool,
    },
    /// There is no head file, and no hash was given.
    #[error(
        "{}.head is missing, so lines may be missing at the end: give the last hash with --head",
        path.display()
    )]
    NoHead {
        /// The log.
        path: PathBuf,
    },
}

/// Reads a whole log, including rotated files, and calls `each` with every entry. `expected` is the
/// hash of the last line, from elsewhere (the sidecar logs it when it stops or rotates); without it
/// the head file is believed.
///
/// # Errors
/// At the first line that does not fit, or if lines are missing.
pub fn verify(
    path: &Path,
    expected: Option<&str>,
    mut each: impl FnMut(Value),
) -> Result<Verified, VerifyError> {
    let failed = |source| VerifyError::Io { path: path.to_owned(), source };
    let rotated = rotated_files(path).map_err(failed)?.into_iter().map(|(_, file)| file);
    let (mut head, mut first, mut lost) = (None, None, 0);
    for file in rotated.chain([path.to_owned()]) {
        verify_file(&file, &mut head, |line| {
            first.get_or_insert(line.head.seq);
            if line.entry["kind"] == "lost" {
                lost += line.entry["entries"].as_u64().unwrap_or(0);
            }
            each(line.entry);
        })?;
    }
    let (head, first) = (head.unwrap_or_default(), first.unwrap_or(1));
    let ends = match expected {
        Some(hash) => Ends { first, last: head.seq, hash: hash.to_owned() },
        None => read_ends(path)
            .map_err(failed)?
            .ok_or_else(|| VerifyError::NoHead { path: path.to_owned() })?,
    };
    let other_hash = ends.hash != head.hash;
    if ends.first != first || ends.last != head.seq || other_hash {
        return Err(VerifyError::Ends {
            first: ends.first,
            last: ends.last,
            found_first: first,
            found_last: head.seq,
            other_hash,
        });
    }
    Ok(Verified { first, head, lost })
}

/// Reads a file that continues the chain at `head`, and moves `head` to its end.
fn verify_file(
    path: &Path,
    head: &mut Option<Head>,
    mut each: impl FnMut(Line),
) -> Result<(), VerifyError> {
    let failed = |source| VerifyError::Io { path: path.to_owned(), source };
    let mut reader = BufReader::new(File::open(path).map_err(failed)?);
    let mut bytes = Vec::new();
    for number in 1.. {
        bytes.clear();
        if reader.read_until(b'\n', &mut bytes).map_err(failed)? == 0 {
            break;
        }
        let wrong = |flaw| VerifyError::Line { path: path.to_owned(), line: number, flaw };
        let text = bytes.strip_suffix(b"\n").and_then(|text| std::str::from_utf8(text).ok());
        let text = text.ok_or_else(|| wrong(Flaw::Malformed))?;
        let line = match &head {
            Some(head) => chain::follow(head, text),
            None => chain::open(text),
        };
        let line = line.map_err(wrong)?;
        *head = Some(line.head.clone());
        each(line);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
