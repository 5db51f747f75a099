//! Reading all files of a log in order, and checking that the lines link.

use super::chain::{self, Flaw, Head, Line};
use super::files::rotated_files;
use super::gap::{Gap, RecordedGap};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};

/// What the files of a log hold.
#[derive(Debug, Default)]
pub(super) struct Scan {
    /// The files, oldest first. The last is the one that is being written.
    pub(super) files: Vec<ScannedFile>,
    /// The last line.
    pub(super) end: Head,
    /// Number of the first line.
    pub(super) first: Option<u64>,
    /// Hash of the line before the first.
    pub(super) before: Option<String>,
    /// Entries that were lost, by the log's own account.
    pub(super) lost: u64,
    /// Gaps that it tells of.
    pub(super) gaps: Vec<RecordedGap>,
    /// Hashes of the lines that were asked for.
    pub(super) hashes: BTreeMap<u64, String>,
    /// Where it stopped, because a line does not fit.
    pub(super) flaw: Option<FlawedLine>,
}

/// One file of a log.
#[derive(Debug)]
pub(super) struct ScannedFile {
    pub(super) path: PathBuf,
    /// Number of its first line.
    pub(super) first: Option<u64>,
    /// Bytes of its complete lines.
    pub(super) length: u64,
    /// Bytes after them.
    pub(super) torn: u64,
}

/// A line that does not fit.
#[derive(Debug)]
pub(super) struct FlawedLine {
    /// Index of its file in [`Scan::files`].
    pub(super) file: usize,
    /// Number of the line in the file, from 1.
    pub(super) line: usize,
    pub(super) flaw: Flaw,
}

/// Reads the log at `path` up to its end, or the first line that does not fit, and calls `each`
/// with every line. Keeps the hashes of the lines with these numbers.
pub(super) fn scan(
    path: &Path,
    wanted: &[u64],
    mut each: impl FnMut(Line),
) -> std::io::Result<Scan> {
    let rotated = rotated_files(path)?.into_iter().map(|(_, file)| file);
    let current = path.exists().then(|| path.to_owned());
    let paths: Vec<_> = rotated.chain(current).collect();
    let mut scan = Scan::default();
    for path in &paths {
        let is_last = Some(path) == paths.last();
        if let Err((line, flaw)) = scan.read_file(path, is_last, wanted, &mut each)? {
            scan.flaw = Some(FlawedLine { file: scan.files.len() - 1, line, flaw });
            // What follows cannot be judged.
            let rest = paths.into_iter().skip(scan.files.len());
            let unread = |path| ScannedFile { path, first: None, length: 0, torn: 0 };
            scan.files.extend(rest.map(unread));
            break;
        }
    }
    Ok(scan)
}

impl Scan {
    /// The inner result is the flaw of a line, with the line's number.
    fn read_file(
        &mut self,
        path: &Path,
        is_last: bool,
        wanted: &[u64],
        each: &mut impl FnMut(Line),
    ) -> std::io::Result<Result<(), (usize, Flaw)>> {
        let mut reader = BufReader::new(File::open(path)?);
        let mut file = ScannedFile { path: path.to_owned(), first: None, length: 0, torn: 0 };
        let mut bytes = Vec::new();
        let mut result = Ok(());
        for number in 1.. {
            bytes.clear();
            let length = reader.read_until(b'\n', &mut bytes)? as u64;
            if length == 0 {
                break;
            }
            let Some(text) = bytes.strip_suffix(b"\n") else {
                // A line that is being written, or that a crash cut short.
                file.torn = length;
                if !is_last {
                    result = Err((number, Flaw::Malformed));
                }
                break;
            };
            let text = std::str::from_utf8(text).map_err(|_| Flaw::Malformed);
            match text.and_then(chain::open).and_then(|line| self.take(line, wanted)) {
                Ok(line) => {
                    file.first.get_or_insert(line.head.seq);
                    file.length += length;
                    each(line);
                }
                Err(flaw) => {
                    result = Err((number, flaw));
                    break;
                }
            }
        }
        self.files.push(file);
        Ok(result)
    }

    /// Takes in the next line. Only an entry that tells of a gap may leave lines out.
    fn take(&mut self, line: Line, wanted: &[u64]) -> Result<Line, Flaw> {
        let gap = Gap::read(&line.entry);
        let fits = match self.first {
            None => true,
            Some(_) => line.follows(&self.end) || (gap.is_some() && line.head.seq > self.end.seq),
        };
        if !fits {
            return Err(Flaw::OutOfPlace);
        }
        if self.first.is_none() {
            self.first = Some(line.head.seq);
            self.before = Some(line.prev.clone());
        }
        if let Some(gap) = gap {
            let (seq, time) = (line.head.seq, line.time.clone());
            let after = if self.end.seq > 0 { self.end.seq } else { seq.saturating_sub(1) };
            self.gaps.push(RecordedGap { seq, after, time, gap });
        }
        if line.entry["kind"] == "lost" {
            self.lost += line.entry["entries"].as_u64().unwrap_or(0);
        }
        if wanted.contains(&line.head.seq) {
            self.hashes.insert(line.head.seq, line.head.hash.clone());
        }
        self.end = line.head.clone();
        Ok(line)
    }
}
