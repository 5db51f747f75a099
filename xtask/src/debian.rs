//! Programs from Debian packages that are unpacked into the cache, not installed: installing them
//! would start services on the machine.
//!
//! Debian's programs look for their files in `/usr/share`. Each program sees its own package's
//! files there, in a mount namespace of its own: Alertmanager does not start without its templates.

use crate::progress::Progress;
use anyhow::{Context, Result};
use personaguard_cluster::{Cache, find_program, run};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Starts the program that has the script's name. Without root, which mounting needs, the program
/// runs without its files.
const LAUNCHER: &str = r#"#!/bin/sh
folder=$(dirname "$(dirname "$(readlink -f "$0")")")
program=$folder/usr/bin/$(basename "$0")
[ "$(id -u)" = 0 ] && [ -d "$folder/usr/share" ] || exec "$program" "$@"
exec unshare --mount sh -c 'mount --bind "$0/usr/share" /usr/share && exec "$@"' \
    "$folder" "$program" "$@"
"#;

/// The path of a program, either installed on the machine or unpacked from its package.
///
/// # Errors
/// The package cannot be downloaded.
pub(crate) fn ensure(
    cache: &Cache,
    package: &str,
    program: &str,
    why: &str,
    progress: &Progress,
) -> Result<PathBuf> {
    let folder = cache.join("debian").join(package);
    let unpacked = folder.join("usr/bin").join(program);
    if let Some(found) = find_program(program) {
        return Ok(found);
    }
    if unpacked.is_file() {
        return launcher(&folder, program);
    }
    progress
        .step(&format!("unpacking the Debian package {package} into {} ({why})", folder.display()));
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
    launcher(&folder, program)
}

/// Writes the script that starts a program of an unpacked package.
fn launcher(folder: &Path, program: &str) -> Result<PathBuf> {
    let launcher = folder.join("bin").join(program);
    fs::create_dir_all(folder.join("bin"))?;
    fs::write(&launcher, LAUNCHER)?;
    fs::set_permissions(&launcher, fs::Permissions::from_mode(0o755))?;
    Ok(launcher)
}
