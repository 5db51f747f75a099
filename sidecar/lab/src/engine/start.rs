//! Loading weights and starting the engine, or finding one that runs.

use super::batch::BATCH;
use super::lab_engine::LabEngine;
use super::vllm::{Vllm, VllmSettings};
use crate::error::Result;
use personaguard_model::{Engine, EngineOptions, LoadOptions, Model};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

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

/// Which engine runs the model.
#[derive(Clone, Debug)]
pub enum EngineSource {
    /// Ours.
    Own {
        /// Weight file, or folder of a model hub.
        weights: PathBuf,
        /// Folder of a LoRA adapter to merge into the weights.
        adapter: Option<PathBuf>,
        /// How it runs.
        settings: EngineSettings,
    },
    /// A vLLM that runs already, or soon.
    Vllm(VllmSettings),
}

impl fmt::Display for EngineSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Own { weights, adapter, .. } => {
                adapter.as_ref().unwrap_or(weights).display().fmt(f)
            }
            Self::Vllm(settings) => f.write_str(&settings.url),
        }
    }
}

/// Starts our own engine, or connects with vLLM.
///
/// # Errors
/// If the weights cannot be loaded, or vLLM cannot be used.
pub async fn start(source: &EngineSource) -> Result<LabEngine> {
    match source {
        EngineSource::Own { weights, adapter, settings } => {
            Ok(LabEngine::Own(start_own(weights, adapter.as_deref(), *settings)?))
        }
        EngineSource::Vllm(settings) => {
            Ok(LabEngine::Vllm(Box::new(Vllm::connect(settings).await?)))
        }
    }
}

/// Loads weights, with a LoRA adapter merged into them if one is given, and starts our own engine.
///
/// # Errors
/// If the weights cannot be loaded, or the adapter does not fit them.
pub fn start_own(path: &Path, adapter: Option<&Path>, settings: EngineSettings) -> Result<Engine> {
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
