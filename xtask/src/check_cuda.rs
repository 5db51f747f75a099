//! `cargo xtask check-cuda`: whether the decoder compiles for NVIDIA GPUs. The machine needs
//! neither a GPU nor CUDA.

use crate::progress::Progress;
use crate::python;
use crate::workspace::{cargo, show};
use anyhow::{Context, Result};
use clap::Args;
use personaguard_cluster::{Cache, run};
use std::path::{Path, PathBuf};
use std::process::Command;

/// NVIDIA's compiler and headers, from PyPI.
const PACKAGES: [&str; 5] = [
    "nvidia-cuda-nvcc>=13,<14",
    "nvidia-cuda-runtime>=13,<14",
    "nvidia-cuda-crt>=13,<14",
    "nvidia-nvvm>=13,<14",
    "nvidia-cuda-cccl>=13,<14",
];

/// Compile the decoder and its kernels for NVIDIA GPUs (feature `cuda`) with NVIDIA's compiler from
/// PyPI.
///
/// Nothing is linked or run, since that needs a GPU's driver. Takes minutes the first time; what is
/// downloaded (some 200 MB) and built stays in the cache.
#[derive(Args)]
pub(crate) struct Options {
    /// The compute capability to compile kernels for: 80 is Ampere, 89 Ada, 90 Hopper.
    #[arg(long, value_name = "N", default_value_t = 90)]
    compute_capability: u32,
}

/// # Errors
/// The compiler cannot be downloaded, or the feature does not compile.
pub(crate) fn check(options: &Options) -> Result<()> {
    let cache = Cache::open()?;
    let home = toolkit(&cache, &Progress::new())?;
    let path = std::env::var("PATH").unwrap_or_default();
    let mut command = cargo();
    command.args(["check", "--release", "--package", "personaguard-model", "--features", "cuda"]);
    // A target folder of its own: switching features in the shared one would recompile half of the
    // dependencies each time.
    command.arg("--target-dir").arg(cache.join("target-cuda"));
    command.env("PATH", format!("{}:{path}", home.join("bin").display()));
    command.envs([("CUDA_HOME", &home), ("CUDA_PATH", &home), ("CUDA_ROOT", &home)]);
    command
        .env("CUDARC_CUDA_VERSION", "13000")
        .env("CUDA_COMPUTE_CAP", options.compute_capability.to_string());
    show(&mut command)?;
    println!("compiled for compute capability {}; not linked, not run", options.compute_capability);
    Ok(())
}

/// The folder with `bin/nvcc`.
fn toolkit(cache: &Cache, progress: &Progress) -> Result<PathBuf> {
    let folder = cache.join("cuda");
    if let Some(home) = find(&folder) {
        return Ok(home);
    }
    progress.step(&format!("downloading NVIDIA's compiler from PyPI into {}", folder.display()));
    run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder))?;
    python::install(&folder.join("bin/python"), &PACKAGES)
        .context("the compiler cannot be downloaded from PyPI")?;
    let home = find(&folder).context("the packages contain no nvcc")?;
    // Builds look for lib64, which an installed toolkit has.
    if !home.join("lib64").exists() {
        std::os::unix::fs::symlink("lib", home.join("lib64"))?;
    }
    progress.done();
    Ok(home)
}

/// `lib/python3.x/site-packages/nvidia/cu13`, if it contains a compiler.
fn find(folder: &Path) -> Option<PathBuf> {
    let pythons = std::fs::read_dir(folder.join("lib")).ok()?;
    pythons
        .filter_map(|entry| Some(entry.ok()?.path().join("site-packages/nvidia/cu13")))
        .find(|home| home.join("bin/nvcc").is_file() && home.join("lib").is_dir())
}
