//! Appending to a log's file, and rotating it.

use super::chain::{self, Flaw, Head};
use super::files::{LogLimits, remove_oldest, rotated_files, rotated_name, write_ends};
use super::tail;
use jiff::Timestamp;
use serde_json::Value;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// Why a log cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// A file cannot be read or written.
    #[error("{} cannot be used as a log: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The end of the file is not as it was left.
    #[error(
        "the last line of {} is damaged ({flaw}): see `personaguard audit verify`, and move the \
         file away",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with the line.
        flaw: Flaw,
    },
}

/// Appends lines to a log's file, and rotates it.
#[derive(Debug)]
pub(super) struct LogWriter {
    path: PathBuf,
    limits: LogLimits,
    file: File,
    /// Length of the file in bytes.
    length: u64,
    head: Head,
    /// Number of the file's first line.
    first_in_file: u64,
    /// Number of the first line that is kept.
    first: u64,
}

impl LogWriter {
    pub(super) fn open(path: &Path, limits: LogLimits) -> Result<Self, LogError> {
        let failed = |source| LogError::Io { path: path.to_owned(), source };
        let mut file = open_file(path, OpenOptions::new().create(true)).map_err(failed)?;
        let rotated = rotated_files(path).map_err(failed)?;
        let length = tail::cut_torn_line(&mut file).map_err(failed)?;
        let mut last = tail::last_line(&mut file, length).map_err(failed)?;
        if let ("", Some((_, newest))) = (last.as_str(), rotated.last()) {
            // The previous file was rotated away, and nothing has been written since.
            let mut file = File::open(newest).map_err(failed)?;
            let length = file.metadata().map_err(failed)?.len();
            last = tail::last_line(&mut file, length).map_err(failed)?;
        }
        let head = match last.as_str() {
            "" => Head::default(),
            line => {
                let damaged = |flaw| LogError::Damaged { path: path.to_owned(), flaw };
                chain::open(line).map_err(damaged)?.head
            }
        };
        let first_in_file = tail::first_seq(&mut file).map_err(failed)?.unwrap_or(head.seq + 1);
        let first = rotated.first().map_or(first_in_file, |(first, _)| *first);
        Ok(Self { path: path.to_owned(), limits, file, length, head, first_in_file, first })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn head(&self) -> &Head {
        &self.head
    }

    pub(super) fn append(&mut self, entry: &Value) -> std::io::Result<()> {
        let (line, head) = chain::seal(&self.head, &Timestamp::now().to_string(), entry)?;
        if self.length > 0 && self.length + line.len() as u64 > self.limits.file_bytes {
            self.rotate()?;
        }
        if let Err(error) = self.file.write_all(line.as_bytes()) {
            // Half a line must not be followed by the next one.
            let _ = self.file.set_len(self.length);
            return Err(error);
        }
        self.length += line.len() as u64;
        self.head = head;
        write_ends(&self.path, self.first, &self.head)
    }

    fn rotate(&mut self) -> std::io::Result<()> {
        self.file.sync_data()?;
        std::fs::rename(&self.path, rotated_name(&self.path, self.first_in_file))?;
        self.file = open_file(&self.path, OpenOptions::new().create_new(true))?;
        (self.length, self.first_in_file) = (0, self.head.seq + 1);
        let oldest = remove_oldest(&self.path, self.limits.files)?;
        self.first = oldest.unwrap_or(self.first_in_file);
        tracing::info!(
            file = %self.path.display(), seq = self.head.seq, hash = %self.head.hash, "log rotated"
        );
        Ok(())
    }
}

fn open_file(path: &Path, options: &mut OpenOptions) -> std::io::Result<File> {
    options.read(true).append(true).open(path)
}
