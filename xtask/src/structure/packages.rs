//! The packages of the workspace, as cargo sees them.

use anyhow::{Context, Result};
use personaguard_cluster::capture;
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::process::Command;

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

/// A member of the workspace.
#[derive(Deserialize)]
pub(super) struct Package {
    pub(super) name: String,
    manifest_path: PathBuf,
    pub(super) dependencies: Vec<Dependency>,
    targets: Vec<Target>,
}

/// A dependency in a manifest.
#[derive(Deserialize)]
pub(super) struct Dependency {
    name: String,
    rename: Option<String>,
    /// Folder of a dependency in this workspace.
    path: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Target {
    kind: Vec<String>,
    src_path: PathBuf,
}

/// The members of the workspace in this folder; every path in them is below it.
///
/// # Errors
/// A manifest is malformed.
pub(super) fn members(root: &Path) -> Result<Vec<Package>> {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(["metadata", "--no-deps", "--offline", "--format-version", "1"]);
    let metadata: Metadata = serde_json::from_str(&capture(command.current_dir(root))?)
        .context("cargo metadata says something else than expected")?;
    let below = |path: &mut PathBuf| -> Result<()> {
        *path = path.strip_prefix(root)?.to_owned();
        Ok(())
    };
    let mut packages = metadata.packages;
    for package in &mut packages {
        below(&mut package.manifest_path)?;
        package.targets.iter_mut().try_for_each(|target| below(&mut target.src_path))?;
        let dependencies = package.dependencies.iter_mut();
        dependencies.flat_map(|dependency| &mut dependency.path).try_for_each(below)?;
    }
    Ok(packages)
}

impl Package {
    /// Its folder.
    pub(super) fn folder(&self) -> &Path {
        self.manifest_path.parent().unwrap_or(Path::new(""))
    }

    /// Its manifest.
    pub(super) fn manifest(&self) -> &Path {
        &self.manifest_path
    }

    /// The root files of its library and its programs; tests and examples are left out.
    pub(super) fn crates(&self) -> impl Iterator<Item = &Path> {
        let shipped = |target: &&Target| {
            target.kind.iter().any(|kind| ["lib", "bin", "proc-macro"].contains(&kind.as_str()))
        };
        self.targets.iter().filter(shipped).map(|target| target.src_path.as_path())
    }
}

impl Dependency {
    /// Its name in the manifest.
    pub(super) fn key(&self) -> &str {
        self.rename.as_ref().unwrap_or(&self.name)
    }

    /// Its name in sources.
    pub(super) fn ident(&self) -> String {
        self.key().replace('-', "_")
    }

    /// Whether it is this package of the workspace.
    pub(super) fn is(&self, package: &Package) -> bool {
        self.path.is_some() && self.name == package.name
    }
}
