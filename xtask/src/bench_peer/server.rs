//! Measures both servers with the same number of streams over HTTP. llama.cpp's is built from the
//! source in its Python package.

use super::{Options, PACKAGE, PEER, STREAMS, compiler_flags, measured};
use crate::progress::Progress;
use anyhow::{Context, Result, ensure};
use personaguard_cluster::{Cache, run};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::process::Command;

const SCRIPT: &str = include_str!("streams.py");
/// Tokens of context for what a chat template adds to prompt and response.
const TEMPLATE: usize = 64;

/// llama.cpp's server, which is built if the cache lacks it.
///
/// # Errors
/// The server cannot be built.
pub(super) fn ensure_built(cache: &Cache, python: &Path, progress: &Progress) -> Result<PathBuf> {
    let server = cache.join("bench-peer/bin/llama-server");
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
    std::fs::copy(build.join("bin/llama-server"), &server)?;
    progress.done();
    Ok(server)
}

/// The settings that both servers share.
struct Settings {
    context: usize,
    threads: String,
}

impl Settings {
    fn new(options: &Options) -> Self {
        let context = (options.prompt + options.response + TEMPLATE).next_multiple_of(256);
        Self { context, threads: options.threads.to_string() }
    }
}

/// Measures our server.
pub(super) fn ours(python: &Path, program: &Path, file: &Path, options: &Options) -> Result<Value> {
    let (settings, folder) = (Settings::new(options), tempfile::tempdir()?);
    let sha256 = hex::encode(Sha256::digest(std::fs::read(file)?));
    let (context, threads) = (settings.context, &settings.threads);
    let manifest = format!(
        "apiVersion: personaguard.dev/v1alpha1\nkind: PersonaModel\n\
         metadata: {{name: bench}}\nspec:\n  \
         source: {{persistentVolumeClaim: {{claimName: models, path: model.gguf}}}}\n  \
         sha256: {sha256}\n  \
         runtime: {{contextLength: {context}, maxConcurrent: {STREAMS}, threads: {threads}}}\n"
    );
    std::fs::write(folder.path().join("model.yaml"), manifest)?;
    let mut command = streams(python, "/readyz", options);
    command.arg(program).arg("serve").arg("--config").arg(folder.path());
    measured(command.arg("--model").arg(file).args(["--listen", "127.0.0.1:{port}"]))
}

/// Measures llama.cpp's server. Its cache of finished prompts is off: ours uses the memory that
/// contexts have anyway.
pub(super) fn theirs(
    python: &Path,
    server: &Path,
    file: &Path,
    options: &Options,
) -> Result<Value> {
    let settings = Settings::new(options);
    let mut command = streams(python, "/health", options);
    command.arg(server).arg("--model").arg(file).args(["--host", "127.0.0.1", "--port", "{port}"]);
    command.args([
        "--parallel",
        &STREAMS.to_string(),
        "--ctx-size",
        &(settings.context * STREAMS).to_string(),
    ]);
    command.args([
        "--threads",
        &settings.threads,
        "--threads-batch",
        &settings.threads,
        "--cache-ram",
        "0",
    ]);
    measured(&mut command)
}

fn streams(python: &Path, ready: &str, options: &Options) -> Command {
    let mut command = Command::new(python);
    let numbers = [STREAMS, options.prompt, options.response].map(|number| number.to_string());
    command.args(["-c", SCRIPT, ready]).args(numbers).arg("--");
    command
}

/// Checks that the streams are about as long as requested: a model may stop early.
pub(super) fn check_length(result: &Value, options: &Options) -> Result<()> {
    let (found, requested) =
        (result["completion_tokens"].as_u64().unwrap_or(0), (STREAMS * options.response) as u64);
    ensure!(
        found * 2 >= requested,
        "the streams ended after {found} of {requested} tokens: use another model"
    );
    Ok(())
}
