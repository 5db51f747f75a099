//! The repository's text files.

use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The text of each file, by its path below the folder that was read.
pub(crate) type Files = BTreeMap<PathBuf, String>;

/// Reads every file below a folder that has one of these extensions, except in build outputs and in
/// hidden folders other than `.github`.
///
/// # Errors
/// A file or folder cannot be read.
pub(crate) fn read(root: &Path, extensions: &[&str]) -> Result<Files> {
    let mut files = Files::new();
    add(root, root, extensions, &mut files)?;
    Ok(files)
}

fn add(root: &Path, folder: &Path, extensions: &[&str], files: &mut Files) -> Result<()> {
    let entries = fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))?;
    for entry in entries {
        let entry = entry?;
        let (path, name) = (entry.path(), entry.file_name());
        let name = name.to_string_lossy();
        if entry.file_type()?.is_dir() {
            let hidden = name.starts_with('.') && name != ".github";
            if !hidden && name != "target" && name != "__pycache__" {
                add(root, &path, extensions, files)?;
            }
        } else if extensions.iter().any(|known| path.extension().is_some_and(|ext| ext == *known)) {
            let text =
                fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
            files.insert(path.strip_prefix(root)?.to_owned(), text);
        }
    }
    Ok(())
}
