//! The repository, and cargo in it.

use crate::progress::Progress;
use anyhow::{Context, Result, bail, ensure};
use personaguard_cluster::{Cache, ensure_programs};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The root of the repository.
pub(crate) fn root() -> PathBuf {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().unwrap_or(xtask).to_owned()
}

/// The folder of the release binaries.
pub(crate) fn binaries() -> PathBuf {
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    root().join(target).join("release")
}

/// cargo, run in the root of the repository.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    // The cargo that runs this program sets these for this package alone.
    for (name, _) in std::env::vars()
        .filter(|(name, _)| name.starts_with("CARGO_PKG_") || name == "CARGO_MANIFEST_DIR")
    {
        command.env_remove(name);
    }
    command
}

/// Runs a command that shows its own progress.
///
/// # Errors
/// The command cannot be started, or fails.
pub(crate) fn show(command: &mut Command) -> Result<()> {
    let name = format!("{command:?}").replace('"', "");
    let name = name.rsplit_once('/').map_or(name.as_str(), |(_, name)| name).to_owned();
    let status =
        command.stdin(Stdio::null()).status().with_context(|| format!("starting {name}"))?;
    ensure!(status.success(), "{name}: {status}");
    Ok(())
}

/// Builds the binaries for the images. Every package is selected, so that binaries and tests share
/// the compiled dependencies, except this program, which is running.
///
/// # Errors
/// The build fails.
pub(crate) fn build(progress: &Progress) -> Result<()> {
    progress.announce("building the release binaries (about 10 minutes on 2 cores the first time)");
    show(cargo().args(["build", "--release", "--workspace", "--exclude", "xtask", "--bins"]))
}

/// Builds the binaries for the images and, at the same time, the local cluster's programs: each
/// fills the cores where the other waits.
///
/// # Errors
/// One of the builds fails.
pub(crate) fn build_with_cluster(cache: &Cache, progress: &Progress) -> Result<()> {
    std::thread::scope(|scope| {
        let programs =
            scope.spawn(|| ensure_programs(cache, &|text| eprintln!("meanwhile: {text}")));
        let binaries = build(progress);
        let Ok(programs) = programs.join() else {
            bail!("building the cluster's programs panicked")
        };
        binaries.and(programs)
    })
}
