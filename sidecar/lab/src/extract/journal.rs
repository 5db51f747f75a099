//! The journal of an extraction: what it has paid for already, so that an interrupted run resumes
//! where it stopped. It holds the model's answers and the judge's ratings.

use crate::error::{Context as _, Result};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};

/// A line of the file: first the digest of the design, then answers and ratings.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Line {
    Design { design: String },
    Answer { request: String, tokens: Vec<u32> },
    Rating { rated: String, rating: Rating },
}

/// What a judge said about an answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Rating {
    /// Name of the judging model.
    pub(super) judge: String,
    /// How much the answer shows the trait, 0 to 100; `None` if the judge gave no number.
    pub(super) trait_score: Option<f64>,
    /// How coherent it is, 0 to 100; `None` if the judge gave no number, or was not asked.
    pub(super) coherence: Option<f64>,
}

#[derive(Debug, Default)]
struct Content {
    answers: HashMap<String, Vec<u32>>,
    ratings: HashMap<String, Rating>,
}

/// Answers and ratings by name, kept in a file with one JSON object per line.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    file: File,
    content: Content,
}

impl Journal {
    /// Opens the journal of a design. The content of an existing file is kept if it belongs to the
    /// same design, and dropped otherwise.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub(super) fn open(path: &Path, design: &str) -> Result<Self> {
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

    /// Number of answers.
    pub(super) fn len(&self) -> usize {
        self.content.answers.len()
    }

    /// Tokens of the answer to a request.
    pub(super) fn answer(&self, request: &str) -> Option<&[u32]> {
        self.content.answers.get(request).map(Vec::as_slice)
    }

    /// Adds an answer.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub(super) fn add_answer(&mut self, request: String, tokens: Vec<u32>) -> Result<()> {
        self.append(&Line::Answer { request: request.clone(), tokens: tokens.clone() })?;
        self.content.answers.insert(request, tokens);
        Ok(())
    }

    /// The rating that a judge gave.
    pub(super) fn rating(&self, rated: &str, judge: &str) -> Option<&Rating> {
        self.content.ratings.get(rated).filter(|rating| rating.judge == judge)
    }

    /// All ratings, by the name of what was rated.
    pub(super) fn ratings(&self) -> &HashMap<String, Rating> {
        &self.content.ratings
    }

    /// Adds a rating.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub(super) fn add_rating(&mut self, rated: String, rating: Rating) -> Result<()> {
        self.append(&Line::Rating { rated: rated.clone(), rating: rating.clone() })?;
        self.content.ratings.insert(rated, rating);
        Ok(())
    }

    fn append(&mut self, line: &Line) -> Result<()> {
        let line = serde_json::to_string(line)?;
        writeln!(self.file, "{line}")
            .with_context(|| format!("cannot write the journal {}", self.path.display()))
    }

    /// Removes the file after a complete run.
    pub(super) fn remove(self) {
        // If this fails, the next run resumes from the file, or drops it.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// How many answers a journal has that is being written.
pub(super) fn count_answers(path: &Path) -> usize {
    let lines = File::open(path).map(|file| BufReader::new(file).lines().map_while(Result::ok));
    lines.map_or(0, |lines| lines.filter(|line| line.starts_with("{\"request\"")).count())
}

fn read(path: &Path, design: &str) -> Option<Content> {
    let mut lines = BufReader::new(File::open(path).ok()?).lines();
    let first: Line = serde_json::from_str(&lines.next()?.ok()?).ok()?;
    if !matches!(first, Line::Design { design: found } if found == design) {
        return None;
    }
    let mut content = Content::default();
    // An interruption may have truncated the last line.
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
mod tests;
