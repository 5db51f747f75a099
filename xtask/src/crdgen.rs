//! `cargo xtask crdgen`: what is generated from the Rust types. The CustomResourceDefinitions as
//! YAML, and the page of conditions and reasons.

use anyhow::{Context, bail};
use personaguard_api::{conditions, manifests};
use std::fs;
use std::path::{Path, PathBuf};

/// Where the YAML goes: one folder for people to read and `kubectl apply`, and the chart.
const FOLDERS: [&str; 2] = ["crds/yaml", "charts/personaguard-crds/templates"];

/// The page of conditions and reasons.
const CONDITIONS: &str = "docs/conditions.md";

/// Writes the YAML and the page. With `check`, writes nothing and fails if they are out of date.
///
/// # Errors
/// A file cannot be read or written, or with `check` is out of date or does not belong.
pub(crate) fn run(check: bool) -> anyhow::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let generated = manifests();
    let mut stale = Vec::new();
    for folder in FOLDERS {
        let path = root.join(folder);
        for (name, yaml) in &generated {
            if fs::read_to_string(path.join(name)).ok().as_ref() == Some(yaml) {
                continue;
            }
            if check {
                stale.push(format!("{folder}/{name}"));
            } else {
                write(&path.join(name), yaml)?;
            }
        }
        for left in leftovers(&path, &generated) {
            if check {
                stale.push(format!("{} (no such kind)", left.display()));
            } else {
                fs::remove_file(&left)
                    .with_context(|| format!("cannot remove {}", left.display()))?;
            }
        }
    }
    let page = conditions::markdown();
    if fs::read_to_string(root.join(CONDITIONS)).ok().as_ref() != Some(&page) {
        if check {
            stale.push(CONDITIONS.to_owned());
        } else {
            write(&root.join(CONDITIONS), &page)?;
        }
    }
    if stale.is_empty() {
        return Ok(());
    }
    bail!(
        "generated files are out of date: {}. Run `cargo xtask crdgen` and commit the result.",
        stale.join(", ")
    )
}

fn write(path: &Path, yaml: &str) -> anyhow::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)
            .with_context(|| format!("cannot create {}", folder.display()))?;
    }
    fs::write(path, yaml).with_context(|| format!("cannot write {}", path.display()))
}

/// Definitions of kinds that no longer exist.
fn leftovers(folder: &Path, generated: &[(String, String)]) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    entries
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .filter(|path| {
            !generated
                .iter()
                .any(|(name, _)| path.file_name().is_some_and(|found| found == name.as_str()))
        })
        .collect()
}
