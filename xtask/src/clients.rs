//! `cargo xtask clients`: both placements with other projects' clients, and Proxy in front of other
//! projects' model servers.

use crate::progress::Progress;
use crate::{bench_peer, model, python, vectors, workspace};
use anyhow::{Context, Result};
use clap::Args;
use personaguard_cluster::Cache;
use std::path::PathBuf;
use std::process::Command;

/// Servers and clients, besides llama.cpp itself.
const PACKAGES: [&str; 7] = [
    "litellm[proxy]>=1,<2",
    "openai>=2,<3",
    "uvicorn",
    "fastapi",
    "sse-starlette",
    "starlette-context",
    "pydantic-settings",
];
const SCRIPT: &str = include_str!("clients/clients.py");

/// Test both placements with the stock clients `openai` (plain, streaming, tools, async, two
/// choices) and `litellm`.
///
/// Placement Proxy stands in front of llama.cpp's server, and of LiteLLM's proxy in front of that.
///
/// llama.cpp is built from its Python package in the cache (minutes, once; needs cmake and a C++
/// compiler).
#[derive(Args)]
pub(crate) struct Options {
    /// Weight file (GGUF). Default: the demo's model.
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    /// Folder with `evil.safetensors` for that file. Default: extracted, and kept in the cache.
    #[arg(long, value_name = "DIR")]
    vectors: Option<PathBuf>,
    /// The program `personaguard`. Default: built from the repository.
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
}

/// # Errors
/// A server cannot be built or installed, or a check fails.
pub(crate) fn check(options: &Options) -> Result<()> {
    let cache = Cache::open()?;
    let progress = Progress::new();
    let weights = match &options.model {
        Some(file) => file.clone(),
        None => model::ensure(&cache, &progress)?,
    };
    let python = bench_peer::peer(&cache, &progress)?;
    progress.step("installing LiteLLM's proxy and the clients");
    python::install(&python, &PACKAGES)
        .context("the servers and clients cannot be installed from PyPI")?;
    progress.done();
    let program = match &options.program {
        Some(program) => program.clone(),
        None => {
            workspace::build(&progress)?;
            workspace::binaries().join("personaguard")
        }
    };
    let vectors = vectors::ensure(&cache, &weights, options.vectors.as_deref(), &progress)?;
    workspace::show(
        Command::new(&python)
            .args(["-c", SCRIPT])
            .arg(program)
            .arg(weights)
            .arg(vectors.join("evil.safetensors")),
    )
}
