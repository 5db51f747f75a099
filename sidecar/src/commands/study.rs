//! `personaguard study`.

use crate::args::EngineArgs;
use anyhow::bail;
use clap::Args;
use personaguard_lab::study::{StudySettings, study};
use std::path::PathBuf;
use tokio::runtime::Runtime;

/// Study vectors: what steering does, how well prompts predict answers, how traits move together.
///
/// Writes a self-contained HTML page about each vector, and prints the numbers.
///
///   personaguard study --model model.gguf \
///     --vectors evil.safetensors sycophantic.safetensors --out study/
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct Options {
    /// Weight file (GGUF) that the vectors were made from.
    #[arg(long, value_name = "FILE")]
    model: PathBuf,
    /// Vector files.
    #[arg(long, value_name = "FILE", required = true, num_args = 1..)]
    vectors: Vec<PathBuf>,
    /// Trait files (YAML) of traits that are not built in.
    #[arg(long, value_name = "FILE", num_args = 1..)]
    trait_files: Vec<PathBuf>,
    /// Folder to write the pages to.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Longest answer in tokens.
    #[arg(long, value_name = "N", default_value_t = 48)]
    tokens: usize,
    /// Held-out questions for each measurement.
    #[arg(long, value_name = "N", default_value_t = 20)]
    questions: usize,
    /// Seed of sampling.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    #[command(flatten)]
    engine: EngineArgs,
}

/// Studies, and writes the pages.
///
/// # Errors
/// What a person should read.
pub(crate) fn run(options: Options) -> anyhow::Result<()> {
    if options.questions < 2 || options.tokens < 8 {
        bail!("--questions must be at least 2, --tokens at least 8");
    }
    let settings = StudySettings {
        model: options.model,
        engine: options.engine.into(),
        vectors: options.vectors,
        trait_files: options.trait_files,
        out: options.out,
        max_tokens: options.tokens,
        questions: options.questions,
        seed: options.seed,
    };
    for study in Runtime::new()?.block_on(study(&settings))? {
        println!("{study}");
    }
    Ok(())
}
