//! The command `bench`: how fast a model is on this machine, and what monitoring costs.

mod measure;
mod results;

use crate::error::{Result, bail};
use measure::Bench;
use personaguard_model::{Engine, EngineOptions, LoadOptions, Model};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

pub use measure::BenchLengths;
pub use personaguard_model::Device;
pub use results::{BenchResults, ConcurrentSpeed};

/// Tokens of KV cache per request beyond its prompt and response.
const SPARE_TOKENS: usize = 32;
/// Least size of the KV cache in tokens, which fits the longest prompt.
const MIN_KV_TOKENS: usize = 4096;

/// What the command is asked for.
#[derive(Clone, Debug)]
pub struct BenchSettings {
    /// Weights.
    pub model: PathBuf,
    /// Device to run on.
    pub device: Device,
    /// Number of threads; by default the container's CPU limit, or else all cores.
    pub threads: Option<usize>,
    /// What is measured.
    pub lengths: BenchLengths,
}

/// Measures a model's speed.
///
/// # Errors
/// If the model cannot be loaded, or a request fails.
pub fn bench(settings: &BenchSettings) -> Result<BenchResults> {
    let lengths = &settings.lengths;
    if lengths.repeats == 0
        || lengths.prompt == 0
        || lengths.response < 2
        || lengths.streams.contains(&0)
    {
        bail!("--repeats, --prompt and --streams must be at least 1, --response at least 2");
    }
    let started = Instant::now();
    let load = LoadOptions {
        threads: settings.threads,
        device: settings.device,
        ..LoadOptions::default()
    };
    let model = Arc::new(Model::load(&settings.model, &load)?);
    let load_seconds = started.elapsed().as_secs_f64();
    let concurrent = lengths.streams.iter().copied().max().unwrap_or(1).max(1);
    // As much cache as the streams and the longest prompt need, so that memory is that of a server
    // of this size.
    let tokens = concurrent * (lengths.prompt as usize + lengths.response + SPARE_TOKENS);
    let kv_bytes = Some(model.kv_bytes(tokens.max(MIN_KV_TOKENS)));
    let options = EngineOptions { max_concurrent: concurrent, max_waiting: concurrent, kv_bytes };
    Bench::new(Engine::start(model, options)?, lengths).measure(load_seconds)
}
