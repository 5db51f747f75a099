//! What a start finds wrong with a log, as an entry of the log itself: `{"kind":"gap",…}`.

use super::chain::Head;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::path::Path;

/// What a start found wrong with the log that it continues. The chain goes on behind it, from the
/// line that was remembered as the last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    kind: String,
    /// What is wrong.
    pub reasons: Vec<GapReason>,
    /// The last line by the head file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<Head>,
    /// The last intact line that was there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub found: Option<Head>,
    /// Lines that were written once and are no longer there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<Lines>,
    /// Files that were moved aside as they were found, by their new names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub set_aside: Vec<String>,
}

/// What a start can find wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GapReason {
    /// Lines that the head file knows are missing.
    Cut,
    /// The last line by the head file is another one.
    Rewritten,
    /// A line does not fit.
    Damaged,
    /// The file ended within a line, as after a crash. What there was of it was cut off.
    Torn,
    /// There is a log, and no head file: whether lines are missing cannot be told.
    HeadMissing,
    /// The head file cannot be read.
    HeadUnreadable,
}

impl GapReason {
    /// As the entry has it.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Cut => "cut",
            Self::Rewritten => "rewritten",
            Self::Damaged => "damaged",
            Self::Torn => "torn",
            Self::HeadMissing => "head_missing",
            Self::HeadUnreadable => "head_unreadable",
        }
    }
}

/// Lines by their numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lines {
    /// The first of them.
    pub first: u64,
    /// The last of them.
    pub last: u64,
}

/// A gap that a log tells of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedGap {
    /// Number of the line that tells of it.
    pub seq: u64,
    /// Number of the line before it.
    pub after: u64,
    /// When that line was written.
    pub time: String,
    /// What was wrong.
    pub gap: Gap,
}

impl RecordedGap {
    /// Whether lines are gone: known to be missing, or in a file that was moved aside from the log
    /// at `path` and is no longer there, or left out without a word.
    #[must_use]
    pub fn loses_lines(&self, path: &Path) -> bool {
        let is_gone = |name: &String| !path.with_file_name(name).exists();
        let Gap { missing, set_aside, .. } = &self.gap;
        let leaves_out = self.seq > self.after.saturating_add(1);
        !missing.is_empty() || set_aside.iter().any(is_gone) || (leaves_out && set_aside.is_empty())
    }

    /// Whether a line is one of those that it leaves out.
    pub(super) fn leaves_out(&self, seq: u64) -> bool {
        self.after < seq && seq < self.seq
    }
}

impl Gap {
    /// Value of `kind`.
    pub const KIND: &str = "gap";

    pub(super) fn new(reasons: Vec<GapReason>) -> Self {
        Self {
            kind: Self::KIND.to_owned(),
            reasons,
            expected: None,
            found: None,
            missing: Vec::new(),
            set_aside: Vec::new(),
        }
    }

    /// Reads an entry, if it is one.
    pub(super) fn read(entry: &Value) -> Option<Self> {
        (entry["kind"] == Self::KIND).then(|| Self::deserialize(entry).ok()).flatten()
    }

    /// The reasons, as people read them.
    #[must_use]
    pub fn describe(&self) -> String {
        let reasons: Vec<_> = self.reasons.iter().map(|reason| reason.label()).collect();
        let missing = self
            .missing
            .iter()
            .map(|Lines { first, last }| format!("lines {first} to {last} are missing"));
        let moved = (!self.set_aside.is_empty())
            .then(|| format!("moved aside: {}", self.set_aside.join(", ")));
        let parts: Vec<_> =
            std::iter::once(reasons.join(", ")).chain(missing).chain(moved).collect();
        parts.join("; ")
    }
}
