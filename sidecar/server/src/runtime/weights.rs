//! Weights in memory, and the engine that runs them.

use super::active_model::ActiveModel;
use super::memory::{ContainerMemory, Needs, anonymous, working_bytes};
use super::message::failure_of;
use crate::config::{Config, ConfigError};
use crate::http::Limits;
use personaguard_model::{self as model, Engine, EngineOptions, LoadError, LoadOptions, Model};
use personaguard_terms::conditions::reason;
use personaguard_terms::{Device, Digest};
use personaguard_wire::Failure;
use personaguard_wire::ServedModel;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Requests that may wait for each one that runs. One more is told to come back later.
const WAITING_PER_RUNNING: usize = 8;

/// Tokens of context for which there is a KV cache in any case.
const LEAST_CONTEXT: usize = 512;

/// What decides which weights are in memory. While it stays the same, they are not loaded again.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct WeightsKey {
    pub(super) file: PathBuf,
    pub(super) sha256: Digest,
    context_length: u32,
    threads: Option<u32>,
    device: Device,
}

impl WeightsKey {
    /// Those that a config is for.
    ///
    /// # Errors
    /// It does not say where they are.
    pub(super) fn of(config: &Config) -> Result<Self, ConfigError> {
        let ServedModel { sha256, context_length, threads, device, .. } = &config.guard.model;
        Ok(Self {
            file: config.weight_file()?.to_owned(),
            sha256: sha256.clone(),
            context_length: *context_length,
            threads: *threads,
            device: *device,
        })
    }

    /// Reads and checks the weights. Takes seconds, and blocks.
    pub(super) fn load(&self) -> Result<Arc<Model>, Failure> {
        let options = LoadOptions {
            context_length: Some(self.context_length as usize),
            threads: self.threads.map(|threads| threads as usize),
            expected_sha256: Some(self.sha256.to_string()),
            adapter: None,
            device: match self.device {
                Device::Cpu => model::Device::Cpu,
                Device::Cuda => model::Device::Cuda(0),
            },
        };
        Model::load(&self.file, &options)
            .map(Arc::new)
            .map_err(|error| failure_of(load_error_reason(&error), &error))
    }
}

/// Weights in memory, with the engine that runs them.
#[derive(Debug)]
pub(super) struct LoadedWeights {
    pub(super) key: WeightsKey,
    engine: Engine,
    max_concurrent: u32,
    created: i64,
}

impl LoadedWeights {
    pub(super) fn new(
        key: WeightsKey,
        model: Arc<Model>,
        max_concurrent: u32,
    ) -> Result<Self, Failure> {
        let engine = start(model, max_concurrent, key.device, 0)?;
        Ok(Self { key, engine, max_concurrent, created: jiff::Timestamp::now().as_second() })
    }

    /// Puts a config in force. Requests that run keep the engine and the plan they began with.
    pub(super) fn activate(&mut self, config: &Config) -> Result<ActiveModel, Failure> {
        let max_concurrent = config.guard.model.max_concurrent;
        if self.max_concurrent != max_concurrent {
            // The cache of the engine that is there goes with it.
            let freed = self.engine.kv_bytes();
            let model = Arc::clone(self.engine.model());
            self.engine = start(model, max_concurrent, self.key.device, freed)?;
            self.max_concurrent = max_concurrent;
        }
        ActiveModel::new(config, self.engine.clone(), self.created)
    }
}

/// `freed` is what another engine is about to give back.
fn start(
    model: Arc<Model>,
    max_concurrent: u32,
    device: Device,
    freed: usize,
) -> Result<Engine, Failure> {
    let max_concurrent = max_concurrent.max(1) as usize;
    let kv_bytes = match device {
        Device::Cpu => kv_budget(&model, max_concurrent, freed),
        // The cache is in the GPU's memory.
        Device::Cuda => None,
    };
    let options = EngineOptions {
        max_concurrent,
        max_waiting: max_concurrent * WAITING_PER_RUNNING,
        kv_bytes,
    };
    Engine::start(model, options).map_err(|error| failure_of(reason::MODEL_UNSUPPORTED, &error))
}

/// Bytes of KV cache that the container has room for; none where its memory is not known.
fn kv_budget(model: &Model, max_concurrent: usize, freed: usize) -> Option<usize> {
    let root = Path::new("/");
    let container = ContainerMemory::find(root)?;
    let context = model.context_length();
    let taken = anonymous(root).unwrap_or(model.weight_bytes() as u64);
    let (hidden, vocab) = (model.hidden_size(), model.vocab_size());
    let needs = Needs {
        limit: container.limit,
        taken: taken.saturating_sub(freed as u64),
        working: working_bytes(hidden, vocab, max_concurrent, Limits::BODIES),
        full: (model.kv_bytes(context) as u64).saturating_mul(max_concurrent as u64),
        least: model.kv_bytes(context.min(LEAST_CONTEXT)) as u64,
    };
    let (budget, fits) = needs.kv_budget();
    let budget = usize::try_from(budget).unwrap_or(usize::MAX);
    let contexts = budget / model.kv_bytes(context).max(1);
    tracing::info!(
        kv_cache_bytes = budget,
        full_contexts = contexts,
        context_tokens = context,
        memory_limit_bytes = needs.limit,
        taken_bytes = needs.taken,
        working_bytes = needs.working,
        "budget of the KV cache"
    );
    if !fits {
        tracing::error!(
            memory_limit_bytes = needs.limit,
            "the container's memory limit leaves no room for a KV cache: raise it \
             (resources.limits.memory of the PersonaModel)"
        );
    } else if contexts == 0 {
        tracing::warn!(
            memory_limit_bytes = needs.limit,
            context_tokens = context,
            "the container's memory limit leaves no room for one context of full length: longer \
             requests are refused; raise it (resources.limits.memory of the PersonaModel), or \
             lower \
             contextLength"
        );
    }
    Some(budget)
}

/// The condition reason of weights that cannot be served.
fn load_error_reason(error: &LoadError) -> &'static str {
    match error {
        LoadError::NotFound { .. } => reason::WEIGHTS_NOT_FOUND,
        LoadError::Io { .. } | LoadError::Incomplete { .. } | LoadError::Corrupt { .. } => {
            reason::WEIGHTS_INVALID
        }
        LoadError::DigestMismatch { .. } => reason::DIGEST_MISMATCH,
        LoadError::Unsupported { .. } | LoadError::Template { .. } | LoadError::Options { .. } => {
            reason::MODEL_UNSUPPORTED
        }
    }
}
