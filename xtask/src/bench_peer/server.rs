//! Measures both servers with the same number of streams over HTTP.

use super::{Options, STREAMS, measured};
use anyhow::{Result, ensure};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::path::Path;
use std::process::Command;

const SCRIPT: &str = include_str!("streams.py");
/// Tokens of context for what a chat template adds to prompt and response.
const TEMPLATE: usize = 64;

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
