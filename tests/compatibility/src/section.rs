//! A file of the list.

use crate::entry::{Entry, FileEntry};
use crate::outcome::{Answer, Outcome};
use crate::record;
use serde::Deserialize;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// With this variable set, the tests write what they found into the list.
const UPDATE: &str = "PERSONAGUARD_UPDATE";
/// Words of a message that only fit where bytes are missing.
const ONLY_OF_MISSING_BYTES: [&str; 3] = ["damaged", "fetch it again", "missing again"];
/// Words that say of a message that bytes are missing.
const MISSING_BYTES: [&str; 5] = ["cut", "is empty", "zeros", "not whole", "bytes are missing"];

/// Why the list cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// A file cannot be read or written.
    #[error("{}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: std::io::Error,
    },
    /// A file is not a section of the list.
    #[error("{} is not a section of the list", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: Box<serde_saphyr::Error>,
    },
    /// What was found is not what the list says.
    #[error("{0}")]
    Differs(String),
}

/// A file of the list: entries about one thing.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Section<E> {
    /// Its heading on the page.
    pub title: String,
    /// What the page says before the entries.
    pub about: String,
    /// Where requests are sent to, unless an entry says otherwise.
    #[serde(default)]
    pub path: String,
    /// Whether its requests are sent to a sidecar in front of vLLM (placement Engine), and not to
    /// one that is the model server.
    #[serde(default)]
    pub in_front_of_vllm: bool,
    /// Since when its entries hold, unless they say otherwise.
    since: String,
    /// The entries.
    pub entries: Vec<E>,
    #[serde(skip)]
    file: PathBuf,
}

impl<E: Entry> Section<E> {
    pub(crate) fn read(name: &str) -> Result<Self, ListError> {
        Self::read_file(Path::new(env!("CARGO_MANIFEST_DIR")).join(name))
    }

    pub(crate) fn read_file(path: PathBuf) -> Result<Self, ListError> {
        let text = std::fs::read_to_string(&path)
            .map_err(|source| ListError::Io { path: path.clone(), source })?;
        let mut section: Self = serde_saphyr::from_str(&text).map_err(|error| {
            ListError::Malformed { path: path.clone(), source: Box::new(error) }
        })?;
        section.file = path;
        Ok(section)
    }

    /// Since when an entry holds.
    pub fn since<'a>(&'a self, entry: &'a E) -> &'a str {
        entry.since().unwrap_or(&self.since)
    }

    /// Compares what was found, one for each entry, with the list; or writes it there, if that is
    /// asked for.
    ///
    /// # Errors
    /// They differ, or a message says that bytes are missing where they are not.
    pub fn settle(&self, found: &[Outcome]) -> Result<(), ListError> {
        self.settle_as(found, std::env::var_os(UPDATE).is_some_and(|value| value != "0"))
    }

    pub(crate) fn settle_as(&self, found: &[Outcome], updates: bool) -> Result<(), ListError> {
        let pairs = || self.entries.iter().zip(found);
        let mut problems = Vec::new();
        if found.len() != self.entries.len() {
            problems.push(format!("{} of {} were tried", found.len(), self.entries.len()));
        }
        problems.extend(pairs().filter_map(|(entry, found)| misleads(entry, found)));
        let differing: Vec<_> =
            pairs().filter(|(entry, found)| entry.expected() != **found).collect();
        if updates && problems.is_empty() && !differing.is_empty() {
            let io = |source| ListError::Io { path: self.file.clone(), source };
            let text = std::fs::read_to_string(&self.file).map_err(io)?;
            return std::fs::write(&self.file, record::record(&text, found)).map_err(io);
        }
        problems.extend(differing.into_iter().map(|(entry, found)| {
            format!("{}:\n  expected {:?}\n  found    {found:?}", entry.what(), entry.expected())
        }));
        if problems.is_empty() {
            return Ok(());
        }
        Err(ListError::Differs(format!(
            "{}: run the test with {UPDATE}=1 to write what was found, and look at the \
             difference:\n{}",
            self.file.display(),
            problems.join("\n")
        )))
    }
}

impl Section<FileEntry> {
    /// Checks that each entry has a generator, and each of these generators an entry.
    ///
    /// # Errors
    /// One lacks the other, or two entries have the same.
    pub fn check_generators<'a>(
        &self,
        generators: impl IntoIterator<Item = &'a str>,
    ) -> Result<(), ListError> {
        let listed: BTreeSet<&str> =
            self.entries.iter().map(|entry| entry.made_by.as_str()).collect();
        let known: BTreeSet<&str> = generators.into_iter().collect();
        let one_sided: Vec<&str> = listed.symmetric_difference(&known).copied().collect();
        if one_sided.is_empty() && listed.len() == self.entries.len() {
            return Ok(());
        }
        Err(ListError::Differs(format!(
            "{}: each entry has a generator of its own, and each generator an entry; alone are: \
             {}",
            self.file.display(),
            one_sided.join(", ")
        )))
    }
}

/// What is wrong with a message that blames missing bytes.
fn misleads(entry: &impl Entry, found: &Outcome) -> Option<String> {
    let message = found.message.as_deref().unwrap_or_default();
    let word = ONLY_OF_MISSING_BYTES.into_iter().find(|word| message.contains(word))?;
    let is_said = MISSING_BYTES.iter().any(|words| message.contains(words));
    (!is_said).then(|| format!("{}: \"{word}\", and no bytes are missing: {message}", entry.what()))
}

impl Outcome {
    /// How it stands in the list: the last lines of an entry.
    pub(crate) fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!("  answer: {}", self.answer.name())];
        lines.extend(self.status.map(|status| format!("  status: {status}")));
        lines.extend(self.param.iter().flat_map(|param| record::field("param", param)));
        lines.extend(self.message.iter().flat_map(|message| record::field("message", message)));
        lines
    }
}

impl Answer {
    /// Whether the thing is not taken.
    #[must_use]
    pub fn is_refusal(self) -> bool {
        self == Self::Refused
    }
}

#[cfg(test)]
mod tests;
