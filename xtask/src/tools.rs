//! Programs that are built from their crates into the cache.

use crate::progress::Progress;
use crate::workspace::{cargo, show};
use anyhow::Result;
use personaguard_cluster::{Cache, find_program};
use std::fs;
use std::path::PathBuf;

/// The path of a program, which is built from the crate of its name if neither the machine nor the
/// cache has it.
///
/// # Errors
/// The crate cannot be downloaded or built.
pub(crate) fn ensure(
    cache: &Cache,
    name: &str,
    version: &str,
    why: &str,
    progress: &Progress,
) -> Result<PathBuf> {
    let tool = cache.bin().join(name);
    if let Some(found) = find_program(name) {
        return Ok(found);
    }
    if !tool.is_file() {
        progress.announce(&format!("building {name} from its crate (minutes, once): {why}"));
        let target = cache.join("target-tools");
        show(
            cargo()
                .args(["install", "--locked", "--quiet", "--root"])
                .arg(cache.path())
                .arg(format!("{name}@{version}"))
                .env("CARGO_TARGET_DIR", &target),
        )?;
        fs::remove_dir_all(target)?;
    }
    Ok(tool)
}
