//! `cargo xtask structure`: whether modules import one way, files are short, lines are narrow, and
//! every dependency is used.

mod circles;
mod dependencies;
mod lengths;
mod modules;
mod one_way;
mod packages;
mod resolve;
mod sources;
mod widths;

use crate::{files, workspace};
use anyhow::{Context, Result, ensure};
use clap::Args;
use modules::Module;
use sources::Sources;
use std::path::PathBuf;

/// Check that imports run one way, that files and lines are short, and that every dependency is
/// used.
///
/// There must be no circle of imports between packages, between folders of a crate, or between
/// files other than a module and its own submodules; nothing imports from a crate's root file;
/// personaguard-guard depends on neither HTTP nor model nor Kubernetes, and personaguard-server on
/// nothing that only other commands need; a file has at most 500 lines, and a line 100 columns.
#[derive(Args, Default)]
pub(crate) struct Options {
    /// Folder of the workspace. Default: this one.
    dir: Option<PathBuf>,
}

/// # Errors
/// Something does not hold; each is printed.
pub(crate) fn check(options: &Options) -> Result<()> {
    let root = options.dir.clone().unwrap_or_else(workspace::root);
    let root = root.canonicalize().with_context(|| format!("no folder {}", root.display()))?;
    let sources = Sources::read(&root)?;
    let packages = packages::members(&root)?;
    let mut errors = dependencies::circles_of(&packages);
    let (mut modules, mut upward) = (0, 0);
    for package in &packages {
        for file in package.crates() {
            let tree = Module::of_crate(&sources, file)?;
            let findings = one_way::check(&file.display().to_string(), &tree);
            modules += tree.all().len();
            upward += findings.upward;
            errors.extend(findings.errors);
        }
    }
    let (lengths, too_long) = lengths::check(&sources);
    errors.extend(too_long);
    errors.extend(widths::check(&files::read(&root, &["rs", "py", "md"])?));
    let manifest = std::fs::read_to_string(root.join("Cargo.toml"))?;
    errors.extend(dependencies::unused(&packages, &sources, &manifest)?);
    errors.extend(dependencies::past_boundaries(&packages, &root)?);
    for error in &errors {
        eprintln!("{error}");
    }
    println!(
        "{} packages, {modules} modules, {upward} imports from a module above; {lengths}",
        packages.len()
    );
    ensure!(errors.is_empty(), "{} faults in the structure", errors.len());
    Ok(())
}
