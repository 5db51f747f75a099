//! Puts a folder where it belongs, as a whole.

use rustix::fs::{CWD, RenameFlags, renameat_with};
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// What was to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Placed {
    /// The folder is new, or has other files than before.
    Written,
    /// It was there already, file by file.
    Same,
}

/// Why it is not there.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PlaceError {
    #[error(
        "{} holds {found}, which is not of the plugin: name a folder that does not exist, or that \
         is empty",
        path.display()
    )]
    Foreign { path: PathBuf, found: String },
    #[error(
        "{} cannot be written: name a folder inside one that exists, and that this user may write \
         to",
        path.display()
    )]
    Io { path: PathBuf, source: io::Error },
}

/// Has the folder `target` hold these files and no others. What it held before must be of the same
/// `package`.
pub(super) fn put(
    target: &Path,
    files: &[(String, Vec<u8>)],
    package: &str,
) -> Result<Placed, PlaceError> {
    let failed = |source| PlaceError::Io { path: target.to_owned(), source };
    let is_there = check_own(target, package)?;
    if is_there && holds(target, files).map_err(failed)? {
        return Ok(Placed::Same);
    }
    let beside = beside(target).map_err(failed)?;
    discard(&beside).map_err(failed)?;
    write(&beside, files).map_err(failed)?;
    if is_there {
        // Both names change at once. The old folder then has the other name.
        renameat_with(CWD, &beside, CWD, target, RenameFlags::EXCHANGE)
            .map_err(|error| failed(error.into()))?;
        discard(&beside).map_err(failed)?;
    } else {
        fs::rename(&beside, target).map_err(failed)?;
    }
    Ok(Placed::Written)
}

/// Whether the folder is there. What someone else keeps in it is not to be lost.
fn check_own(target: &Path, package: &str) -> Result<bool, PlaceError> {
    let failed = |source| PlaceError::Io { path: target.to_owned(), source };
    let entries = match fs::read_dir(target) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(source) => return Err(failed(source)),
    };
    for entry in entries {
        let name = entry.map_err(failed)?.file_name().to_string_lossy().into_owned();
        let is_described = name.starts_with(package) && name.ends_with(".dist-info");
        if name != package && !is_described {
            return Err(PlaceError::Foreign { path: target.to_owned(), found: name });
        }
    }
    Ok(true)
}

/// Whether the folder holds these files and no others.
fn holds(target: &Path, files: &[(String, Vec<u8>)]) -> io::Result<bool> {
    let is_equal = |(path, content): &(String, Vec<u8>)| {
        fs::read(target.join(path)).is_ok_and(|found| found == *content)
    };
    Ok(files.iter().all(is_equal) && count(target)? == files.len())
}

/// Files below a folder.
fn count(folder: &Path) -> io::Result<usize> {
    fs::read_dir(folder)?.try_fold(0, |all, entry| {
        let entry = entry?;
        let more = if entry.file_type()?.is_dir() { count(&entry.path())? } else { 1 };
        Ok(all + more)
    })
}

/// A name in the same folder, and so on the same file system.
fn beside(target: &Path) -> io::Result<PathBuf> {
    let name = target.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    Ok(target.with_file_name(format!(".{}.new", name.to_string_lossy())))
}

/// Removes what an earlier process left half done.
fn discard(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

fn write(folder: &Path, files: &[(String, Vec<u8>)]) -> io::Result<()> {
    make(folder)?;
    for (path, content) in files {
        let file = folder.join(path);
        // From the outermost on, each with permissions that no umask narrows.
        let inner: Vec<_> = file.ancestors().skip(1).take_while(|it| *it != folder).collect();
        for parent in inner.into_iter().rev() {
            make(parent)?;
        }
        fs::write(&file, content)?;
        fs::set_permissions(&file, Permissions::from_mode(0o644))?;
    }
    Ok(())
}

fn make(folder: &Path) -> io::Result<()> {
    if !folder.is_dir() {
        fs::create_dir(folder)?;
        fs::set_permissions(folder, Permissions::from_mode(0o755))?;
    }
    Ok(())
}
