//! Programs from Debian packages that are unpacked into the cache, not installed: a package that starts a service of its
//! own would change the machine.

use crate::progress::Progress;
use anyhow::{Context, Result};
use personaguard_cluster::{Cache, program_of, run};
use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// Where a program is: on the machine, or unpacked from its package.
///
/// # Errors
/// The package cannot be fetched.
pub(crate) fn ensure(cache: &Cache, package: &str, program: &str, why: &str, progress: &Progress) -> Result<PathBuf> {
    let folder = cache.join("debian").join(package);
    let unpacked = folder.join("usr/bin").join(program);
    if let Some(found) = program_of(program).or_else(|| unpacked.is_file().then(|| unpacked.clone())) {
        return Ok(found);
    }
    progress.step(&format!("unpacking the Debian package {package} into {} ({why})", folder.display()));
    fs::create_dir_all(&folder)?;
    let download = || run(Command::new("apt-get").args(["download", package]).current_dir(&folder));
    if download().is_err() {
        run(Command::new("apt-get").arg("update"))?;
        download().with_context(|| format!("install it yourself: apt-get install {package}"))?;
    }
    for archive in fs::read_dir(&folder)?.flatten().map(|entry| entry.path()) {
        if archive.extension().is_some_and(|kind| kind == "deb") {
            run(Command::new("dpkg-deb").arg("-x").arg(&archive).arg(&folder))?;
            fs::remove_file(archive)?;
        }
    }
    progress.done();
    anyhow::ensure!(unpacked.is_file(), "the Debian package {package} has no {program}");
    Ok(unpacked)
}
