//! `cargo xtask docs`: the generated pages, the links of every page, and the book.

mod architectures;
mod book;
mod compatibility;
mod invariants;
mod links;

use crate::progress::Progress;
use crate::{files, workspace};
use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use personaguard_cluster::Cache;
use std::fs;

/// Pages that are generated, as a whole or in part.
const COMPATIBILITY: &str = "docs/compatibility.md";
const INVARIANTS: &str = "docs/invariants.md";
const WEIGHTS: &str = "docs/weights.md";

/// Generate pages from the code and the tests' lists, check the links of every page, and build the
/// book.
///
/// The book is written to target/book; its first page is target/book/index.html. mdBook is built
/// from its crate the first time (a minute on 2 cores).
#[derive(Args)]
pub(crate) struct Options {
    /// Write no page; fail if one would change.
    #[arg(long)]
    check: bool,
}

/// Runs the command.
///
/// # Errors
/// A page is out of date (with `--check`), a link is broken, or the book does not build.
pub(crate) fn run(options: &Options) -> Result<()> {
    let cache = Cache::open()?;
    let progress = Progress::new();
    generate(options.check)?;
    check_links()?;
    book::build(&cache, &progress)
}

/// Everything that the tests ask of the pages.
///
/// # Errors
/// As [`run`] with `--check`.
pub(crate) fn check(cache: &Cache, progress: &Progress) -> Result<()> {
    generate(true)?;
    check_links()?;
    book::build(cache, progress)
}

/// Writes the generated pages; with `check`, fails if one would change.
fn generate(check: bool) -> Result<()> {
    let root = workspace::root();
    let read =
        |page| fs::read_to_string(root.join(page)).with_context(|| format!("reading {page}"));
    let sources = files::read(&root, &["rs"])?;
    let pages = [
        (COMPATIBILITY, compatibility::page()?),
        (INVARIANTS, invariants::page(&read("ARCHITECTURE.md")?, &sources)?),
        (WEIGHTS, architectures::page(&read(WEIGHTS)?, &sources)?),
    ];
    for (path, page) in pages {
        if read(path).ok().as_ref() == Some(&page) {
            continue;
        }
        ensure!(!check, "{path} is out of date: run `cargo xtask docs` and commit what it writes");
        fs::write(root.join(path), page).with_context(|| format!("writing {path}"))?;
    }
    Ok(())
}

/// Fails if a page has a broken link, or the book's table of contents misses a page.
fn check_links() -> Result<()> {
    let root = workspace::root();
    let problems = links::problems(&files::read(&root, &["md"])?, |path| root.join(path).exists());
    if problems.is_empty() {
        return Ok(());
    }
    bail!("broken links:\n  {}", problems.join("\n  "))
}

#[cfg(test)]
mod tests;
