//! Answers already given, so that an extraction that was interrupted goes on where it stopped.

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};

/// A line of the file: first the design's digest, then answers.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Line {
    Design { design: String },
    Answer { request: String, tokens: Vec<u32> },
}

/// Answers by request, kept in a file of one JSON object a line.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    file: File,
    answers: HashMap<String, Vec<u32>>,
}

impl Journal {
    /// Opens the journal of a design: what stands there of the same design is taken up, of another it is dropped.
    ///
    /// # Errors
    /// If the file cannot be read or written.
    pub(super) fn open(path: &Path, design: &str) -> anyhow::Result<Self> {
        let answers = read(path, design).unwrap_or_default();
        let context = || format!("cannot write the journal {}", path.display());
        let mut file = File::create(path).with_context(context)?;
        let mut write = |line: &Line| writeln!(file, "{}", serde_json::to_string(line)?).with_context(context);
        write(&Line::Design { design: design.to_owned() })?;
        for (request, tokens) in &answers {
            write(&Line::Answer { request: request.clone(), tokens: tokens.clone() })?;
        }
        let file = OpenOptions::new().append(true).open(path).with_context(context)?;
        Ok(Self { path: path.to_path_buf(), file, answers })
    }

    /// Answers taken up.
    pub(super) fn len(&self) -> usize {
        self.answers.len()
    }

    /// The answer to a request, if there is one.
    pub(super) fn get(&self, request: &str) -> Option<&[u32]> {
        self.answers.get(request).map(Vec::as_slice)
    }

    /// Adds an answer.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub(super) fn put(&mut self, request: String, tokens: Vec<u32>) -> anyhow::Result<()> {
        let line = serde_json::to_string(&Line::Answer { request: request.clone(), tokens: tokens.clone() })?;
        writeln!(self.file, "{line}").with_context(|| format!("cannot write the journal {}", self.path.display()))?;
        self.answers.insert(request, tokens);
        Ok(())
    }

    /// Removes the file: the extraction is complete.
    pub(super) fn remove(self) {
        // Left behind, it is taken up or dropped by the next run.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Answers in a journal that is being written.
pub(super) fn count(path: &Path) -> usize {
    File::open(path).map_or(0, |file| BufReader::new(file).lines().count().saturating_sub(1))
}

fn read(path: &Path, design: &str) -> Option<HashMap<String, Vec<u32>>> {
    let mut lines = BufReader::new(File::open(path).ok()?).lines();
    let first: Line = serde_json::from_str(&lines.next()?.ok()?).ok()?;
    if !matches!(first, Line::Design { design: ours } if ours == design) {
        return None;
    }
    let mut answers = HashMap::new();
    // A line cut short by the interruption ends the reading.
    for line in lines.map_while(Result::ok) {
        match serde_json::from_str(&line) {
            Ok(Line::Answer { request, tokens }) => answers.insert(request, tokens),
            _ => break,
        };
    }
    Some(answers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interrupted_run_is_taken_up_and_another_design_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("evil.journal");
        let mut journal = Journal::open(&path, "a").unwrap();
        journal.put("extract/1".to_owned(), vec![1, 2]).unwrap();
        drop(journal);
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        write!(file, "{{\"request\":\"extract/2\",\"tok").unwrap();
        drop(file);
        let journal = Journal::open(&path, "a").unwrap();
        assert_eq!((journal.len(), journal.get("extract/1")), (1, Some([1, 2].as_slice())));
        drop(journal);
        assert_eq!(Journal::open(&path, "b").unwrap().len(), 0);
        Journal::open(&path, "b").unwrap().remove();
        assert!(!path.exists());
    }
}
