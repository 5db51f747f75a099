//! The project's own Python environment in the cache: pip, the `openai` client, and what checks the
//! project's scripts.

use crate::progress::Progress;
use anyhow::{Context, Result};
use personaguard_cluster::{Cache, install_packages, run};
use std::path::{Path, PathBuf};
use std::process::Command;

const PACKAGES: [&str; 1] = ["openai>=2,<3"];

/// Linter and formatter, and type checker. Another version finds other faults, so these are exact.
const CHECKERS: [&str; 2] = ["ruff==0.17.6", "mypy==2.4.1"];

/// The environment's Python. The environment is created if the cache lacks it.
///
/// # Errors
/// Python 3 is missing and cannot be installed, or a package cannot be downloaded.
pub(crate) fn ensure(cache: &Cache, progress: &Progress) -> Result<PathBuf> {
    let folder = cache.join("python");
    let python = folder.join("bin/python");
    let stamp = folder.join(".packages");
    let wanted = PACKAGES.join(" ");
    if python.is_file() && std::fs::read_to_string(&stamp).is_ok_and(|found| found == wanted) {
        return Ok(python);
    }
    progress.step(&format!(
        "creating a Python environment with {wanted} in {} (for clients in the demo and the tests)",
        folder.display()
    ));
    create(&folder, progress)?;
    install(&python, &PACKAGES).context("the clients cannot be downloaded from PyPI")?;
    std::fs::write(stamp, wanted)?;
    progress.done();
    Ok(python)
}

/// An environment of its own in the cache, with the newest versions of these packages.
///
/// # Errors
/// As [`ensure`].
pub(crate) fn environment(
    cache: &Cache,
    name: &str,
    packages: &[&str],
    progress: &Progress,
) -> Result<PathBuf> {
    let folder = cache.join(name);
    let python = folder.join("bin/python");
    progress.step(&format!("installing {} in {}", packages.join(", "), folder.display()));
    if !python.is_file() {
        create(&folder, progress)?;
    }
    let packages: Vec<_> = std::iter::once("--upgrade").chain(packages.iter().copied()).collect();
    install(&python, &packages).context("the packages cannot be downloaded from PyPI")?;
    progress.done();
    Ok(python)
}

/// Makes an empty environment in `folder`, in place of one that is there.
///
/// # Errors
/// Python 3 is missing and cannot be installed.
pub(crate) fn create(folder: &Path, progress: &Progress) -> Result<()> {
    let make = || run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(folder));
    if make().is_err() {
        install_packages(&[("python3-venv", "creates the Python environment")], &|text| {
            progress.step(text);
        })?;
        make()?;
    }
    Ok(())
}

/// The same environment with the checkers of the project's scripts, `ruff` and `mypy`, as modules.
///
/// # Errors
/// As [`ensure`].
pub(crate) fn ensure_checkers(cache: &Cache, progress: &Progress) -> Result<PathBuf> {
    let python = ensure(cache, progress)?;
    let stamp = cache.join("python").join(".checkers");
    let wanted = CHECKERS.join(" ");
    if std::fs::read_to_string(&stamp).is_ok_and(|found| found == wanted) {
        return Ok(python);
    }
    progress.step(&format!("installing {wanted} from PyPI (they check the project's scripts)"));
    install(&python, &CHECKERS).context("the checkers cannot be downloaded from PyPI")?;
    std::fs::write(stamp, wanted)?;
    progress.done();
    Ok(python)
}

/// Installs packages from PyPI into the environment of `python`.
///
/// # Errors
/// A package cannot be downloaded or built.
pub(crate) fn install(python: &Path, packages: &[&str]) -> Result<()> {
    run(Command::new(python)
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
        .args(packages))
}
