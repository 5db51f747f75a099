//! The book, built by mdBook.

use crate::progress::Progress;
use crate::workspace::{cargo, root, show};
use anyhow::Result;
use personaguard_cluster::{Cache, find_program};
use std::path::PathBuf;
use std::process::Command;

const VERSION: &str = "0.5.4";

/// Builds the book into target/book.
///
/// # Errors
/// mdBook cannot be built, or the book cannot.
pub(super) fn build(cache: &Cache, progress: &Progress) -> Result<()> {
    let mdbook = mdbook(cache, progress)?;
    show(Command::new(mdbook).arg("build").current_dir(root()))
}

/// mdBook from its crate, unless the machine has it.
fn mdbook(cache: &Cache, progress: &Progress) -> Result<PathBuf> {
    let tool = find_program("mdbook").unwrap_or_else(|| cache.bin().join("mdbook"));
    if !tool.is_file() {
        progress.announce(
            "building mdBook from its crate (a minute on 2 cores, once): builds the book",
        );
        let target = cache.join("mdbook-target");
        show(
            cargo()
                // It has little to do, so what counts is how soon it is built.
                .args(["install", "--locked", "--quiet", "--debug", "--no-default-features"])
                .env("CARGO_PROFILE_DEV_DEBUG", "false")
                .arg("--root")
                .arg(cache.path())
                .arg(format!("mdbook@{VERSION}"))
                .env("CARGO_TARGET_DIR", &target),
        )?;
        std::fs::remove_dir_all(target)?;
    }
    Ok(tool)
}
