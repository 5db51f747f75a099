//! Files of conversations: JSON lines and the other forms in which training data are shared.

mod content;
mod conversation;
mod folder;
mod json;
mod lines;
mod message;
mod parquet;
mod reading;
mod row;
mod shape;
mod source;
mod transcript;
mod unicode;
mod unreadable;

pub use conversation::Conversation;
pub use reading::{Reading, Skipped};

use crate::error::{Context as _, Result, bail};
use std::path::Path;

/// How files of conversations are read.
#[derive(Clone, Copy, Debug)]
pub struct ReadOptions {
    /// How many conversations are read at most.
    pub limit: usize,
    /// Whether samples that cannot be read are left out and counted, and do not end the command.
    pub skip_invalid: bool,
}

/// Reads the first conversations of a file, or of a folder of files as a hub has them.
///
/// # Errors
/// If a file cannot be read, or a sample is not a conversation and such are not to be skipped. The
/// message names the line and never quotes it.
pub fn read_conversations(
    path: &Path,
    options: ReadOptions,
) -> Result<(Vec<Conversation>, Reading)> {
    let mut conversations = Vec::new();
    let mut reading = Reading::default();
    let mut before = 0;
    for file in folder::files(path)? {
        let mut last = 0;
        for row in source::rows(&file)? {
            if conversations.len() >= options.limit {
                return Ok((conversations, reading));
            }
            let row = row.with_context(|| format!("cannot read {}", file.display()))?;
            last = row.number;
            let line = before + row.number;
            match row.value.and_then(shape::sample).and_then(|sample| sample.conversation(line)) {
                Ok((conversation, is_chosen)) => {
                    reading.chosen += usize::from(is_chosen);
                    conversations.push(conversation);
                }
                Err(reason) if options.skip_invalid => {
                    reading.skipped.add(line, reason);
                }
                Err(reason) => {
                    bail!("{} {} {}: {reason}", file.display(), row.unit, row.number)
                }
            }
        }
        before += last;
    }
    if let (true, Some((line, reason))) = (conversations.is_empty(), reading.skipped.first()) {
        bail!("{}: no sample can be read; line {line}: {reason}", path.display());
    }
    Ok((conversations, reading))
}

#[cfg(test)]
mod tests;
