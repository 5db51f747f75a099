//! What a person should know about how a file was read.

use std::fmt;

/// How many reasons are kept.
const REASONS: usize = 10;

/// What a person should know about how a file was read. Its text has whole lines, none if nothing
/// is remarkable.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// How many samples are preference pairs, of which the chosen answer was read.
    pub chosen: usize,
    /// Samples that were left out.
    pub skipped: Skipped,
}

/// Samples that were left out because they cannot be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Skipped {
    count: usize,
    /// The first ones, by line.
    reasons: Vec<(u64, String)>,
}

impl Skipped {
    /// Counts a sample. Its reason must carry no words of the sample.
    pub(crate) fn add(&mut self, line: u64, reason: String) {
        self.count += 1;
        if self.reasons.len() < REASONS {
            self.reasons.push((line, reason));
        }
    }

    /// How many samples were left out.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    /// The first one's line, and why.
    pub(super) fn first(&self) -> Option<&(u64, String)> {
        self.reasons.first()
    }
}

impl fmt::Display for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.chosen > 0 {
            writeln!(f, "of {} preference pairs the chosen answer was read", self.chosen)?;
        }
        let Skipped { count, reasons } = &self.skipped;
        if *count == 0 {
            return Ok(());
        }
        writeln!(f, "left out as invalid: {count}")?;
        for (line, reason) in reasons {
            writeln!(f, "  line {line}: {reason}")?;
        }
        match count - reasons.len() {
            0 => Ok(()),
            more => writeln!(f, "  and {more} more"),
        }
    }
}
