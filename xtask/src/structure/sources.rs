//! The repository's source files, read once. Every check works on this map alone, so that tests can
//! make one in memory.

#[cfg(test)]
mod tests;

use crate::files::{self, Files};
use anyhow::Result;
use std::path::Path;

/// The text of each Rust and Python file, by its path below the repository's root.
#[derive(Default)]
pub(super) struct Sources(Files);

impl Sources {
    /// Reads every file below a folder, except in hidden folders and build outputs.
    ///
    /// # Errors
    /// A file or folder cannot be read.
    pub(super) fn read(root: &Path) -> Result<Self> {
        Ok(Self(files::read(root, &["rs", "py"])?))
    }

    /// The text of a file, if there is one.
    pub(super) fn get(&self, path: &Path) -> Option<&str> {
        self.0.get(path).map(String::as_str)
    }

    /// Every file below a folder.
    pub(super) fn below(&self, folder: &Path) -> impl Iterator<Item = (&Path, &str)> {
        let files = self.0.iter().map(|(path, text)| (path.as_path(), text.as_str()));
        files.filter(move |(path, _)| path.starts_with(folder))
    }
}

impl<const N: usize> From<[(&str, &str); N]> for Sources {
    fn from(files: [(&str, &str); N]) -> Self {
        Self(files.into_iter().map(|(path, text)| (path.into(), text.into())).collect())
    }
}
