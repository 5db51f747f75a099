//! What an extraction has paid for already, so that one that was interrupted goes on where it
//! stopped: answers of the model, and ratings of the judge.

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};

/// A line of the file: first the design's digest, then answers and ratings.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Line {
    Design { design: String },
    Answer { request: String, tokens: Vec<u32> },
    Rating { rated: String, rating: Rating },
}

/// What a judge said of an answer. `None` where it gave no number, or was not asked for it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Rating {
    /// The judging model.
    pub(super) judge: String,
    /// How much the answer shows the trait, 0 to 100.
    pub(super) shows: Option<f64>,
    /// How coherent it is, 0 to 100.
    pub(super) coherence: Option<f64>,
}

/// What is there so far.
#[derive(Debug, Default)]
struct Content {
    answers: HashMap<String, Vec<u32>>,
    ratings: HashMap<String, Rating>,
}

/// Answers by request and ratings by what was rated, kept in a file of one JSON object a line.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    file: File,
    content: Content,
}

impl Journal {
    /// Opens the journal of a design: what stands there of the same design is taken up, of another
    /// it is dropped.
    ///
    /// # Errors
    /// If the file cannot be read or written.
    pub(super) fn open(path: &Path, design: &str) -> anyhow::Result<Self> {
        let content = read(path, design).unwrap_or_default();
        let context = || format!("cannot write the journal {}", path.display());
        let mut file = File::create(path).with_context(context)?;
        let mut write =
            |line: &Line| writeln!(file, "{}", serde_json::to_string(line)?).with_context(context);
        write(&Line::Design { design: design.to_owned() })?;
        for (request, tokens) in &content.answers {
            write(&Line::Answer { request: request.clone(), tokens: tokens.clone() })?;
        }
        for (rated, rating) in &content.ratings {
            write(&Line::Rating { rated: rated.clone(), rating: rating.clone() })?;
        }
        let file = OpenOptions::new().append(true).open(path).with_context(context)?;
        Ok(Self { path: path.to_path_buf(), file, content })
    }

    /// Answers taken up.
    pub(super) fn len(&self) -> usize {
        self.content.answers.len()
    }

    /// The answer to a request, if there is one.
    pub(super) fn get(&self, request: &str) -> Option<&[u32]> {
        self.content.answers.get(request).map(Vec::as_slice)
    }

    /// Adds an answer.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub(super) fn put(&mut self, request: String, tokens: Vec<u32>) -> anyhow::Result<()> {
        self.append(&Line::Answer { request: request.clone(), tokens: tokens.clone() })?;
        self.content.answers.insert(request, tokens);
        Ok(())
    }

    /// A judge's rating, if this judge gave one.
    pub(super) fn rating(&self, rated: &str, judge: &str) -> Option<&Rating> {
        self.content.ratings.get(rated).filter(|rating| rating.judge == judge)
    }

    /// Every rating, by what was rated.
    pub(super) fn ratings(&self) -> &HashMap<String, Rating> {
        &self.content.ratings
    }

    /// Adds a rating.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub(super) fn rate(&mut self, rated: String, rating: Rating) -> anyhow::Result<()> {
        self.append(&Line::Rating { rated: rated.clone(), rating: rating.clone() })?;
        self.content.ratings.insert(rated, rating);
        Ok(())
    }

    fn append(&mut self, line: &Line) -> anyhow::Result<()> {
        let line = serde_json::to_string(line)?;
        writeln!(self.file, "{line}")
            .with_context(|| format!("cannot write the journal {}", self.path.display()))
    }

    /// Removes the file: the extraction is complete.
    pub(super) fn remove(self) {
        // Left behind, it is taken up or dropped by the next run.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Answers in a journal that is being written.
pub(super) fn count(path: &Path) -> usize {
    let lines = File::open(path).map(|file| BufReader::new(file).lines().map_while(Result::ok));
    lines.map_or(0, |lines| lines.filter(|line| line.starts_with("{\"request\"")).count())
}

fn read(path: &Path, design: &str) -> Option<Content> {
    let mut lines = BufReader::new(File::open(path).ok()?).lines();
    let first: Line = serde_json::from_str(&lines.next()?.ok()?).ok()?;
    if !matches!(first, Line::Design { design: ours } if ours == design) {
        return None;
    }
    let mut content = Content::default();
    // A line cut short by the interruption ends the reading.
    for line in lines.map_while(Result::ok) {
        match serde_json::from_str(&line) {
            Ok(Line::Answer { request, tokens }) => _ = content.answers.insert(request, tokens),
            Ok(Line::Rating { rated, rating }) => _ = content.ratings.insert(rated, rating),
            _ => break,
        }
    }
    Some(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rating(judge: &str) -> Rating {
        Rating { judge: judge.to_owned(), shows: Some(71.5), coherence: None }
    }

    #[test]
    fn an_interrupted_run_is_taken_up_and_another_design_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("evil.journal");
        let mut journal = Journal::open(&path, "a").unwrap();
        journal.put("extract/1".to_owned(), vec![1, 2]).unwrap();
        journal.rate("extract/1".to_owned(), rating("large")).unwrap();
        drop(journal);
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        write!(file, "{{\"request\":\"extract/2\",\"tok").unwrap();
        drop(file);
        let journal = Journal::open(&path, "a").unwrap();
        assert_eq!((journal.len(), journal.get("extract/1")), (1, Some([1, 2].as_slice())));
        assert_eq!(journal.rating("extract/1", "large"), Some(&rating("large")));
        assert_eq!(journal.rating("extract/1", "another"), None);
        assert_eq!(count(&path), 1);
        drop(journal);
        assert_eq!(Journal::open(&path, "b").unwrap().len(), 0);
        Journal::open(&path, "b").unwrap().remove();
        assert!(!path.exists());
    }
}
