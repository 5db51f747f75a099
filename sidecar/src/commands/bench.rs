//! `personaguard bench`.

use clap::Args;
use personaguard_lab::bench::{BenchLengths, BenchSettings, Device, bench};
use std::path::PathBuf;

/// Measure a model's speed on this machine: prompts, responses, concurrency, and what monitoring
/// costs.
///
/// Every figure is the median of --repeats runs. Monitored runs alternate with plain ones, and what
/// monitoring costs is the median ratio of adjacent runs (at least nine), so that a busy machine
/// disturbs it less.
///
///   personaguard bench --model model.gguf
///   personaguard bench --model model.gguf --threads 2 --json
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct Options {
    /// Weights: a GGUF file, or a folder with config.json, tokenizer.json and safetensors.
    #[arg(long, value_name = "PATH")]
    model: PathBuf,
    /// cpu; or cuda or cuda:N for an NVIDIA GPU, in a build with the feature cuda.
    #[arg(long, value_name = "DEVICE", default_value = "cpu")]
    device: Device,
    /// Threads that compute. Default: the CPU limit of the container, or else all cores.
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Runs of each measurement.
    #[arg(long, value_name = "N", default_value_t = 5)]
    repeats: usize,
    /// Tokens of each measured response.
    #[arg(long, value_name = "N", default_value_t = 64)]
    response: usize,
    /// Tokens of each prompt of concurrent requests.
    #[arg(long, value_name = "N", default_value_t = 16)]
    prompt: u32,
    /// Numbers of concurrent requests to measure.
    #[arg(long, value_name = "N", value_delimiter = ',', default_values_t = [1, 4, 8, 16])]
    streams: Vec<usize>,
    /// Print one JSON object instead of a table.
    #[arg(long)]
    json: bool,
}

/// Measures.
///
/// # Errors
/// What a person should read.
pub(crate) fn run(options: Options) -> anyhow::Result<()> {
    let Options { model, device, threads, repeats, response, prompt, streams, json } = options;
    let lengths = BenchLengths { repeats, response, prompt, streams };
    let results = bench(&BenchSettings { model, device, threads, lengths })?;
    if json {
        println!("{}", serde_json::to_string(&results)?);
    } else {
        print!("{results}");
    }
    Ok(())
}
