//! `personaguard calibrate`.

use crate::args::{EngineArgs, VllmArgs};
use clap::Args;
use personaguard_lab::calibrate::{CalibrateSettings, calibrate};
use personaguard_lab::engine::GenerationSettings;
use std::path::PathBuf;
use tokio::runtime::Runtime;

/// Calibrate vectors on benign conversations of your own.
///
/// Thresholds given as a sigma or a quantile are relative to the scores of benign answers. The
/// built-in calibration comes from everyday questions; this one comes from your service's own
/// traffic.
///
///   personaguard calibrate --model model.gguf --vectors evil.safetensors \
///     --conversations benign.jsonl --out calibrated/
///
/// Conversations are one JSON object per line, {"messages": [{"role": "user", "content": "…"}, …]}.
/// If the last message is not an answer, the model answers. All that `screen` reads is read here,
/// too.
///
/// A fifth of the conversations is kept aside, to measure how often benign answers exceed the
/// thresholds. A quantile q needs 1/(1−q) conversations: 1000 for 0.999.
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct Options {
    /// Weight file (GGUF) that the vectors were made from.
    #[arg(
        long,
        value_name = "FILE",
        required_unless_present = "engine",
        conflicts_with = "engine"
    )]
    model: Option<PathBuf>,
    /// Vector files.
    #[arg(long, value_name = "FILE", required = true, num_args = 1..)]
    vectors: Vec<PathBuf>,
    /// Benign conversations: JSON lines, a JSON array, Parquet, or a folder of them.
    #[arg(long, value_name = "FILE")]
    conversations: PathBuf,
    /// Folder to write the calibrated vector files to, under their own names.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Largest number of conversations to read.
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    max_conversations: usize,
    /// Leave out conversations that cannot be read, and say how many there were and why: the first
    /// ten by line.
    #[arg(long)]
    skip_invalid: bool,
    /// Longest answer in tokens.
    #[arg(long, value_name = "N", default_value_t = 128)]
    tokens: usize,
    /// Sampling temperature of answers: that of your service.
    #[arg(long, value_name = "T", default_value_t = 1.0)]
    temperature: f32,
    /// Seed of answers, and of which conversations are kept aside.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    #[command(flatten)]
    own: EngineArgs,
    #[command(flatten)]
    vllm: VllmArgs,
}

/// Calibrates, and writes the files.
///
/// # Errors
/// What a person should read.
pub(crate) fn run(options: Options) -> anyhow::Result<()> {
    let settings = CalibrateSettings {
        engine: options.vllm.source(options.model, options.own)?,
        vectors: options.vectors,
        conversations: options.conversations,
        out: options.out,
        max_conversations: options.max_conversations,
        skip_invalid: options.skip_invalid,
        generation: GenerationSettings {
            max_tokens: options.tokens,
            temperature: options.temperature,
            seed: options.seed,
        },
    };
    let (reports, reading) = Runtime::new()?.block_on(calibrate(&settings))?;
    for report in reports {
        println!("{report}");
    }
    print!("{reading}");
    Ok(())
}
