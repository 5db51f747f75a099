//! The checks of the project's Python scripts, as `pyproject.toml` sets them.

use crate::files;
use crate::progress::Progress;
use crate::python;
use crate::workspace::{self, show};
use anyhow::Result;
use personaguard_cluster::Cache;
use std::process::Command;

/// Lints, format and types.
pub(super) fn check(cache: &Cache, progress: &Progress) -> Result<()> {
    let python = python::ensure_checkers(cache, progress)?;
    let module = |name: &str| {
        let mut command = Command::new(&python);
        command.current_dir(workspace::root()).args(["-m", name]);
        command
    };
    let ruff = |arguments: &[&str]| {
        show(module("ruff").args(arguments).env("RUFF_CACHE_DIR", cache.join("ruff")))
    };
    ruff(&["check", "."])?;
    ruff(&["format", "--check", "."])?;
    // One by one: each is a program of its own, and several have the same name.
    for script in files::read(&workspace::root(), &["py"])?.keys() {
        let mut mypy = module("mypy");
        mypy.arg("--no-error-summary").arg("--cache-dir").arg(cache.join("mypy"));
        show(mypy.arg(script))?;
    }
    Ok(())
}
