//! Reading whole files of a bounded size, and writing whole files atomically.

use crate::error::{Context as _, Result, bail};
use personaguard_persona::vector_file::limits::MAX_FILE_BYTES;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// Reads a file of at most 512 MiB.
///
/// # Errors
/// If it cannot be read, or is too large.
pub fn read_file(path: &Path) -> Result<Vec<u8>> {
    let context = || format!("cannot read {}", path.display());
    let file = std::fs::File::open(path).with_context(context)?;
    let limit = MAX_FILE_BYTES as u64;
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes).with_context(context)?;
    if bytes.len() as u64 > limit {
        bail!("{} has more than {limit} bytes", path.display());
    }
    Ok(bytes)
}

/// Reads a text file of at most 512 MiB.
///
/// # Errors
/// If it cannot be read, is too large, or is not UTF-8.
pub fn read_text(path: &Path) -> Result<String> {
    String::from_utf8(read_file(path)?).with_context(|| format!("{} is not UTF-8", path.display()))
}

/// Writes a file beside its final place and renames it, so that nobody reads half of it.
///
/// # Errors
/// If it cannot be written.
pub fn write_file(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut partial = path.as_os_str().to_owned();
    partial.push(".partial");
    std::fs::write(&partial, bytes)
        .and_then(|()| std::fs::rename(&partial, path))
        .with_context(|| format!("cannot write {}", path.display()))
}

/// Removes files.
///
/// # Errors
/// If one cannot be removed.
pub fn remove_files(paths: &[PathBuf]) -> Result<()> {
    paths.iter().try_for_each(|path| {
        std::fs::remove_file(path).with_context(|| format!("cannot remove {}", path.display()))
    })
}
