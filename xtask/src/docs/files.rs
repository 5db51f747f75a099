//! The repository's text files.

use anyhow::{Context, Result};
use std::fs;
use std::path::Path;

/// A file: its path from the repository's root, and its text.
pub(super) struct File {
    pub(super) path: String,
    pub(super) text: String,
}

/// All files with this extension, in order of their paths. Hidden folders are left out, except
/// `.github`, and so are build outputs.
///
/// # Errors
/// A file cannot be read.
pub(super) fn read(root: &Path, extension: &str) -> Result<Vec<File>> {
    let mut files = Vec::new();
    collect(root, "", extension, &mut files)?;
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

fn collect(root: &Path, folder: &str, extension: &str, files: &mut Vec<File>) -> Result<()> {
    let full = root.join(folder);
    let entries = fs::read_dir(&full).with_context(|| format!("cannot read {}", full.display()))?;
    for entry in entries {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        let path = if folder.is_empty() { name.clone() } else { format!("{folder}/{name}") };
        if entry.file_type()?.is_dir() {
            if (!name.starts_with('.') || name == ".github") && name != "target" {
                collect(root, &path, extension, files)?;
            }
        } else if Path::new(&name).extension().is_some_and(|found| found == extension) {
            let text = fs::read_to_string(root.join(&path))
                .with_context(|| format!("cannot read {path}"))?;
            files.push(File { path, text });
        }
    }
    Ok(())
}
