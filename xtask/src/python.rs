//! A Python environment of the project's own in the cache: pip, and the `openai` client.

use crate::progress::Progress;
use anyhow::{Context, Result};
use personaguard_cluster::{Cache, install_packages, run};
use std::path::{Path, PathBuf};
use std::process::Command;

const PACKAGES: [&str; 1] = ["openai>=2,<3"];

/// The environment's Python; made where the cache lacks it.
///
/// # Errors
/// Python 3 is missing and cannot be installed, or a package cannot be fetched.
pub(crate) fn ensure(cache: &Cache, progress: &Progress) -> Result<PathBuf> {
    let folder = cache.join("python");
    let python = folder.join("bin/python");
    let stamp = folder.join(".packages");
    let wanted = PACKAGES.join(" ");
    if python.is_file() && std::fs::read_to_string(&stamp).is_ok_and(|found| found == wanted) {
        return Ok(python);
    }
    progress.step(&format!(
        "making a Python environment with {wanted} in {} (clients of the demo and the tests)",
        folder.display()
    ));
    let make = || run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder));
    if make().is_err() {
        install_packages(&[("python3-venv", "makes the Python environment")], &|text| {
            progress.step(text)
        })?;
        make()?;
    }
    install(&python, &PACKAGES).context("the clients cannot be fetched from PyPI")?;
    std::fs::write(stamp, wanted)?;
    progress.done();
    Ok(python)
}

/// Installs packages from PyPI into the environment of `python`.
///
/// # Errors
/// One of them cannot be fetched or built.
pub(crate) fn install(python: &Path, packages: &[&str]) -> Result<()> {
    run(Command::new(python)
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
        .args(packages))
}
