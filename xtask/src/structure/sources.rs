//! The repository's source files, read once. Every check works on this map alone, so that tests can
//! make one in memory.

#[cfg(test)]
mod tests;

use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The text of each Rust and Python file, by its path below the repository's root.
#[derive(Default)]
pub(super) struct Sources(BTreeMap<PathBuf, String>);

impl Sources {
    /// Reads every file below a folder, except in hidden folders and build outputs.
    ///
    /// # Errors
    /// A file or folder cannot be read.
    pub(super) fn read(root: &Path) -> Result<Self> {
        let mut sources = Self::default();
        sources.add(root, root)?;
        Ok(sources)
    }

    fn add(&mut self, root: &Path, folder: &Path) -> Result<()> {
        let entries =
            fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))?;
        for entry in entries {
            let entry = entry?;
            let (path, name) = (entry.path(), entry.file_name());
            let name = name.to_string_lossy();
            if entry.file_type()?.is_dir() {
                if !name.starts_with('.') && name != "target" && name != "__pycache__" {
                    self.add(root, &path)?;
                }
            } else if name.ends_with(".rs") || name.ends_with(".py") {
                let text = fs::read_to_string(&path)
                    .with_context(|| format!("reading {}", path.display()))?;
                self.0.insert(path.strip_prefix(root)?.to_owned(), text);
            }
        }
        Ok(())
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
