//! Loading weights and starting the engine.

use crate::error::Result;
use personaguard_model::{Engine, EngineOptions, LoadOptions, Model};
use std::path::Path;
use std::sync::Arc;

/// How many requests the engine runs at the same time.
pub(super) const BATCH: usize = 32;
/// Tokens of KV cache for each of them. The cache fills with prompts that may recur, however short
/// the requests are, so it must fit the memory of an extraction pod; a batch of longer requests is
/// smaller.
const KV_TOKENS: usize = 384;

/// How the engine runs.
#[derive(Clone, Copy, Debug)]
pub struct EngineSettings {
    /// Number of threads; by default as many as the process may use.
    pub threads: Option<usize>,
    /// Longest conversation, in tokens.
    pub context_length: usize,
}

/// Loads weights and starts the engine.
///
/// # Errors
/// If the weights cannot be loaded.
pub fn start_engine(path: &Path, settings: EngineSettings) -> Result<Engine> {
    start_adapted_engine(path, None, settings)
}

/// As [`start_engine`], with a LoRA adapter merged into the weights, if one is given.
///
/// # Errors
/// If the weights cannot be loaded, or the adapter does not fit them.
pub fn start_adapted_engine(
    path: &Path,
    adapter: Option<&Path>,
    settings: EngineSettings,
) -> Result<Engine> {
    eprintln!("Loading {} …", adapter.unwrap_or(path).display());
    let options = LoadOptions {
        adapter: adapter.map(Path::to_path_buf),
        context_length: Some(settings.context_length),
        threads: settings.threads,
        ..LoadOptions::default()
    };
    let model = Arc::new(Model::load(path, &options)?);
    let kv_bytes = Some(model.kv_bytes((BATCH * KV_TOKENS).max(settings.context_length)));
    Ok(Engine::start(
        model,
        EngineOptions { max_concurrent: BATCH, max_waiting: 16 * BATCH, kv_bytes },
    )?)
}
