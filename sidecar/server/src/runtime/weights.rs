//! Weights in memory, and the engine that runs them.

use super::active_model::ActiveModel;
use super::message::failure;
use crate::config::Config;
use personaguard_model::{self as model, Engine, EngineOptions, LoadError, LoadOptions, Model};
use personaguard_terms::conditions::reason;
use personaguard_terms::{Device, Digest};
use personaguard_wire::Failure;
use personaguard_wire::ServedModel;
use std::path::PathBuf;
use std::sync::Arc;

/// Requests that may wait for each one that runs. One more is told to come back later.
const WAITING_PER_RUNNING: usize = 8;

/// What decides which weights are in memory. While it stays the same, they are not loaded again.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct WeightsKey {
    pub(super) file: PathBuf,
    sha256: Digest,
    context_length: u32,
    threads: Option<u32>,
    device: Device,
}

impl WeightsKey {
    pub(super) fn of(config: &Config) -> Self {
        let ServedModel { sha256, context_length, threads, device, .. } = &config.guard.model;
        Self {
            file: config.model_file.clone(),
            sha256: sha256.clone(),
            context_length: *context_length,
            threads: *threads,
            device: *device,
        }
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
            .map_err(|error| failure(load_error_reason(&error), &error))
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
        let engine = start(model, max_concurrent)?;
        Ok(Self { key, engine, max_concurrent, created: jiff::Timestamp::now().as_second() })
    }

    /// Puts a config in force. Requests that run keep the engine and the plan they began with.
    pub(super) fn activate(&mut self, config: &Config) -> Result<ActiveModel, Failure> {
        let max_concurrent = config.guard.model.max_concurrent;
        if self.max_concurrent != max_concurrent {
            self.engine = start(Arc::clone(self.engine.model()), max_concurrent)?;
            self.max_concurrent = max_concurrent;
        }
        ActiveModel::new(config, self.engine.clone(), self.created)
    }
}

fn start(model: Arc<Model>, max_concurrent: u32) -> Result<Engine, Failure> {
    let max_concurrent = max_concurrent.max(1) as usize;
    let options = EngineOptions {
        max_concurrent,
        max_waiting: max_concurrent * WAITING_PER_RUNNING,
        ..EngineOptions::default()
    };
    Engine::start(model, options).map_err(|error| failure(reason::MODEL_UNSUPPORTED, &error))
}

/// The condition reason of weights that cannot be served.
fn load_error_reason(error: &LoadError) -> &'static str {
    match error {
        LoadError::NotFound { .. } => reason::WEIGHTS_NOT_FOUND,
        LoadError::Io { .. } | LoadError::Corrupt { .. } => reason::WEIGHTS_INVALID,
        LoadError::DigestMismatch { .. } => reason::DIGEST_MISMATCH,
        LoadError::Unsupported { .. } | LoadError::Options { .. } => reason::MODEL_UNSUPPORTED,
    }
}
