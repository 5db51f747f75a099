//! llama.cpp's server, built from the source in its Python package.

use crate::progress::Progress;
use anyhow::{Context, Result};
use personaguard_cluster::{Cache, run};
use std::path::{Path, PathBuf};
use std::process::Command;

/// llama.cpp's Python package, which is built from source.
pub(crate) const PEER: &str = "llama-cpp-python>=0.3.16,<0.4";
const PACKAGE: &str = "llama-cpp-python";

/// Compiler flags for llama.cpp: without AMX, with which it crashes (SIGSEGV at `ldtilecfg`,
/// 0.3.36).
pub(crate) fn compiler_flags() -> [String; 2] {
    let flags = if cfg!(target_arch = "x86_64") { "-mno-amx-int8 -mno-amx-tile" } else { "" };
    ["C", "CXX"].map(|language| format!("-DCMAKE_{language}_FLAGS={flags}"))
}

/// llama.cpp's server, which is built if the cache lacks it. `python` is one with pip.
///
/// # Errors
/// The server cannot be built.
pub(crate) fn ensure(cache: &Cache, python: &Path, progress: &Progress) -> Result<PathBuf> {
    let server = cache.bin().join("llama-server");
    if Command::new(&server).arg("--version").output().is_ok_and(|output| output.status.success()) {
        return Ok(server);
    }
    progress.step(
        "building llama.cpp's server from the source in its Python package (10 minutes, once)",
    );
    let folder = tempfile::tempdir()?;
    let source = folder.path().join("source");
    let mut fetch = Command::new(python);
    fetch.args(["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]);
    // For this package only: otherwise its build requirements, such as cmake, would be built from
    // source, too.
    fetch.args(["--no-binary", PACKAGE]);
    run(fetch.arg("--dest").arg(folder.path()).arg(PEER))?;
    let archive = std::fs::read_dir(folder.path())?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.to_string_lossy().ends_with(".tar.gz"))
        .context("the package has no source archive")?;
    std::fs::create_dir(&source)?;
    run(Command::new("tar")
        .args(["-xzf"])
        .arg(&archive)
        .args(["--strip-components", "1", "-C"])
        .arg(&source))?;
    let build = folder.path().join("build");
    let mut configure = Command::new("cmake");
    configure.arg("-S").arg(source.join("vendor/llama.cpp")).arg("-B").arg(&build);
    // As the Python package builds the library: optimised for this processor, with OpenMP.
    configure.args([
        "-DCMAKE_BUILD_TYPE=Release",
        "-DBUILD_SHARED_LIBS=OFF",
        "-DLLAMA_OPENSSL=OFF",
    ]);
    configure.args([
        "-DLLAMA_BUILD_UI=OFF",
        "-DLLAMA_USE_PREBUILT_UI=OFF",
        "-DLLAMA_BUILD_TESTS=OFF",
    ]);
    configure.args(["-DLLAMA_BUILD_EXAMPLES=OFF", "-DLLAMA_BUILD_APP=OFF"]);
    configure.args(compiler_flags());
    run(&mut configure).context("cmake failed (apt-get install cmake g++)")?;
    let jobs = std::thread::available_parallelism().map_or(1, usize::from).to_string();
    run(Command::new("cmake").arg("--build").arg(&build).args([
        "--target",
        "llama-server",
        "-j",
        &jobs,
    ]))?;
    std::fs::create_dir_all(cache.bin())?;
    std::fs::copy(build.join("bin/llama-server"), &server)?;
    progress.done();
    Ok(server)
}
