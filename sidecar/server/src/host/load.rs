//! Loading weights, and putting a plan in force on them.

use super::{Serving, clip, interventions};
use crate::config::Config;
use personaguard_guard::{BackOff, Draw, ModelFacts, Plan};
use personaguard_model::{self as model, Engine, EngineOptions, LoadError, LoadOptions, Model};
use personaguard_terms::conditions::reason;
use personaguard_terms::{Device, Digest};
use personaguard_wire::{Failure, ServedModel};
use std::path::PathBuf;
use std::sync::Arc;

/// Requests that wait for a place, for each that runs; one more is told to come back later.
const WAITING_PER_RUNNING: usize = 8;

/// What decides which weights are in memory: as long as it is the same, they are not loaded anew.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ModelKey {
    pub(super) file: PathBuf,
    sha256: Digest,
    context_length: u32,
    threads: Option<u32>,
    device: Device,
}

impl ModelKey {
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

    /// Reads and checks the weights. Takes seconds; blocks.
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
        match Model::load(&self.file, &options) {
            Ok(model) => Ok(Arc::new(model)),
            Err(error) => Err(failure(&error)),
        }
    }
}

fn failure(error: &LoadError) -> Failure {
    let reason = match error {
        LoadError::NotFound { .. } => reason::WEIGHTS_NOT_FOUND,
        LoadError::Io { .. } | LoadError::Corrupt { .. } => reason::WEIGHTS_INVALID,
        LoadError::DigestMismatch { .. } => reason::DIGEST_MISMATCH,
        LoadError::Unsupported { .. } | LoadError::Options { .. } => reason::MODEL_UNSUPPORTED,
    };
    Failure { reason: reason.to_owned(), message: clip(&error.to_string()) }
}

/// Weights in memory, with the engine that runs them.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) key: ModelKey,
    engine: Engine,
    max_concurrent: u32,
    created: i64,
}

impl Loaded {
    pub(super) fn new(
        key: ModelKey,
        model: Arc<Model>,
        max_concurrent: u32,
    ) -> Result<Self, Failure> {
        let engine = start(model, max_concurrent)?;
        Ok(Self { key, engine, max_concurrent, created: jiff::Timestamp::now().as_second() })
    }

    /// Puts a config in force. Requests that run keep the engine and the plan that they began with.
    pub(super) fn serve(&mut self, config: &Config) -> Result<Serving, Failure> {
        let max_concurrent = config.guard.model.max_concurrent;
        if self.max_concurrent != max_concurrent {
            self.engine = start(Arc::clone(self.engine.model()), max_concurrent)?;
            self.max_concurrent = max_concurrent;
        }
        let model = self.engine.model();
        let digest = Digest::try_from(model.digest().to_owned()).map_err(|error| Failure {
            reason: reason::WEIGHTS_INVALID.to_owned(),
            message: error.to_string(),
        })?;
        let facts = ModelFacts {
            digest: digest.clone(),
            layers: u32::try_from(model.layers()).unwrap_or(u32::MAX),
            hidden: model.hidden_size(),
        };
        let plan = Plan::new(&config.guard, &config.vectors, &facts);
        // The plan has checked what these refuse.
        let unfit = |error: model::VectorError| Failure {
            reason: reason::ARTIFACT_INVALID.to_owned(),
            message: error.to_string(),
        };
        let taps = interventions::taps(&plan).map_err(unfit)?;
        let interventions = interventions::interventions(&plan).map_err(unfit)?;
        Ok(Serving {
            name: config.guard.model.name.clone(),
            digest,
            created: self.created,
            engine: self.engine.clone(),
            resting: Arc::new(plan.resting()),
            draw: Draw::default(),
            back_off: BackOff::default(),
            plan: Arc::new(plan),
            taps,
            interventions,
        })
    }
}

fn start(model: Arc<Model>, max_concurrent: u32) -> Result<Engine, Failure> {
    let max_concurrent = max_concurrent.max(1) as usize;
    let options = EngineOptions {
        max_concurrent,
        max_waiting: max_concurrent * WAITING_PER_RUNNING,
        ..EngineOptions::default()
    };
    Engine::start(model, options).map_err(|error| Failure {
        reason: reason::MODEL_UNSUPPORTED.to_owned(),
        message: clip(&error.to_string()),
    })
}
