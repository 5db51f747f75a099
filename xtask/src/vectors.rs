//! The two persona vectors of the demo and the tests. They are extracted once, and kept in the
//! cache until something changes that they are made from.

use crate::progress::Progress;
use crate::{model, workspace};
use anyhow::{Context, Result, bail};
use personaguard_cluster::{Cache, run};
use sha2::{Digest, Sha256};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The traits.
pub(crate) const TRAITS: [&str; 2] = ["evil", "sycophantic"];

/// The sources that a vector file depends on, besides the weights.
const SOURCES: [&str; 5] = [
    "sidecar/persona",
    "sidecar/lab/src/dose_response.rs",
    "sidecar/lab/src/engine",
    "sidecar/lab/src/extract",
    "sidecar/src/commands/extract.rs",
];

/// The folder with `TRAIT.safetensors` for each trait. Missing files are extracted, unless `given`
/// is a folder with ready ones.
///
/// # Errors
/// Extraction fails, or a file is missing in `given`.
pub(crate) fn ensure(
    cache: &Cache,
    weights: &Path,
    given: Option<&Path>,
    progress: &Progress,
) -> Result<PathBuf> {
    if let Some(folder) = given {
        for name in TRAITS {
            let file = folder.join(format!("{name}.safetensors"));
            anyhow::ensure!(file.is_file(), "{} is missing", file.display());
        }
        return Ok(folder.canonicalize()?);
    }
    let folder = &cache.join("vectors").join(&key()?[..16]);
    fs::create_dir_all(folder)?;
    let file = |name: &str| folder.join(format!("{name}.safetensors"));
    let missing: Vec<&str> = TRAITS.into_iter().filter(|name| !file(name).is_file()).collect();
    if missing.is_empty() {
        return Ok(folder.clone());
    }
    progress.step(&format!(
        "extracting the persona vectors {} (about 5 minutes on 2 cores; kept in {})",
        missing.join(" and "),
        folder.display()
    ));
    // One beside the other, each on its share of the cores: no core waits for another's threads.
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = (cores / missing.len()).max(1);
    std::thread::scope(|scope| {
        let start = |name| scope.spawn(move || extract(name, weights, threads, folder));
        let running: Vec<_> = missing.iter().map(|name| start(*name)).collect();
        running.into_iter().try_for_each(|thread| match thread.join() {
            Ok(extracted) => extracted,
            Err(_) => bail!("an extraction panicked"),
        })
    })?;
    progress.done();
    Ok(folder.clone())
}

/// Extracts the vector of a trait into the folder.
fn extract(name: &str, weights: &Path, threads: usize, folder: &Path) -> Result<()> {
    let new = folder.join(format!(".{name}.safetensors"));
    run(Command::new(workspace::binaries().join("personaguard"))
        .args(["extract", "--trait", name, "--threads", &threads.to_string(), "--model"])
        .arg(weights)
        .arg("--out")
        .arg(&new))?;
    fs::rename(&new, folder.join(format!("{name}.safetensors")))
        .with_context(|| format!("personaguard extract wrote no {}", new.display()))
}

fn key() -> Result<String> {
    let mut hash = Sha256::new();
    hash.update(model::SHA256);
    for source in SOURCES {
        add(&mut hash, &workspace::root().join(source))?;
    }
    Ok(hex::encode(hash.finalize()))
}

fn add(hash: &mut Sha256, path: &Path) -> Result<()> {
    if path.is_dir() {
        let mut entries: Vec<PathBuf> =
            fs::read_dir(path)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?;
        entries.sort();
        return entries.iter().try_for_each(|entry| add(hash, entry));
    }
    hash.update(path.file_name().unwrap_or_default().as_encoded_bytes());
    hash.update(fs::read(path).with_context(|| format!("reading {}", path.display()))?);
    Ok(())
}
