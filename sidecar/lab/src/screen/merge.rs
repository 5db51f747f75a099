//! The command `merge-ranks`: ranks the shards of a data set together.

use super::page::write_page;
use super::ranks::Ranks;
use super::shards::Shards;
use crate::error::{Context as _, Result};
use crate::files::remove_files;
use std::path::PathBuf;

/// What the command `merge-ranks` is asked for.
#[derive(Clone, Debug)]
pub struct MergeSettings {
    /// Files that `screen` wrote, one for each shard.
    pub parts: Vec<PathBuf>,
    /// Ranks to write.
    pub out: PathBuf,
    /// Page to write, if it is wanted.
    pub page: Option<PathBuf>,
    /// File to write the number of samples to, if it is wanted.
    pub count_to: Option<PathBuf>,
    /// Whether to remove the parts in the end.
    pub consume: bool,
}

/// What was merged.
#[derive(Clone, Copy, Debug)]
pub struct Merged {
    /// Number of samples.
    pub samples: usize,
}

/// Merges shards, and writes the ranks.
///
/// # Errors
/// If a file cannot be read or written, or the parts do not belong together.
pub fn merge(settings: &MergeSettings) -> Result<Merged> {
    let mut shards = Shards::default();
    for part in &settings.parts {
        shards.add(part)?;
    }
    let (weight, scores) = shards.scores();
    let names: Vec<&str> = shards.names.iter().map(String::as_str).collect();
    let ranks = Ranks::new(&names, weight, &scores);
    ranks.write(&settings.out)?;
    if let Some(path) = &settings.page {
        write_page(path, &settings.out, "as each part was screened", &ranks)?;
    }
    if let Some(path) = &settings.count_to {
        std::fs::write(path, shards.len().to_string())
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    if settings.consume {
        remove_files(&settings.parts)?;
    }
    Ok(Merged { samples: shards.len() })
}

#[cfg(test)]
mod tests;
