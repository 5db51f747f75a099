//! `cargo xtask clients`: both placements with other projects' clients, and Proxy in front of other
//! projects' model servers.

mod node;
mod table;

pub(crate) use table::section;

use crate::progress::Progress;
use crate::{llama_server, model, python, vectors, workspace};
use anyhow::Result;
use clap::Args;
use personaguard_cluster::Cache;
use std::path::PathBuf;
use std::process::Command;
use table::PACKAGES;

const SCRIPT: &str = "xtask/src/clients/main.py";

/// Test both placements with stock clients: openai, anthropic, litellm, LangChain and the AI SDK.
///
/// Each asks in all its ways (plain, streamed, async, tools, structured output, two choices …), of
/// placement Serve and of Proxy in front of llama.cpp's server; openai also in front of LiteLLM's
/// proxy. What it makes of answers must be the same without a policy, under Audit, and under a
/// Block that is not reached; past the threshold it must see a refusal.
///
/// The newest clients are installed in the cache from PyPI and npm, and llama.cpp's server is built
/// there (10 minutes, once; needs cmake and a C++ compiler). Without npm, the AI SDK is left out.
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
    let packages = PACKAGES.map(|package| package.wanted);
    let python = python::environment(&cache, "clients/python", &packages, &progress)?;
    let node = node::ensure(&cache, &progress)?;
    let llama = llama_server::ensure(&cache, &python, &progress)?;
    let program = match &options.program {
        Some(program) => program.clone(),
        None => {
            workspace::build(&progress)?;
            workspace::binaries().join("personaguard")
        }
    };
    let vectors = vectors::ensure(&cache, &weights, options.vectors.as_deref(), &progress)?;
    // No compiled files beside the sources.
    let mut script = Command::new(&python);
    script.arg("-B").arg(workspace::root().join(SCRIPT));
    script.arg(program).arg(weights).arg(vectors.join("evil.safetensors")).arg(llama);
    workspace::show(script.args(node))
}
