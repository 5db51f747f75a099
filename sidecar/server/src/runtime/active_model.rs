//! A model that our own engine runs, under a plan.

use super::in_force::InForce;
use super::interventions;
use super::message::failure_of;
use crate::config::Config;
use personaguard_guard::{ModelFacts, Serving};
use personaguard_model::{Engine, Intervention, Tap};
use personaguard_terms::Digest;
use personaguard_terms::conditions::reason;
use personaguard_wire::Failure;
use std::ops::Deref;
use std::sync::Arc;

/// What is in force, with the engine that serves it, or scores what another server says.
#[derive(Debug)]
pub struct ActiveModel {
    pub(super) in_force: InForce,
    /// When the weights were loaded, in seconds since the epoch.
    pub created: i64,
    /// The engine.
    pub engine: Engine,
    /// The read-outs of the plan's vectors, in their order.
    pub taps: Arc<[Tap]>,
    /// The plan's steering and caps.
    pub interventions: Arc<[Intervention]>,
}

impl Deref for ActiveModel {
    type Target = InForce;

    fn deref(&self) -> &InForce {
        &self.in_force
    }
}

impl ActiveModel {
    /// Puts a config in force on a model that was loaded at `created`.
    pub(super) fn new(config: &Config, engine: Engine, created: i64) -> Result<Self, Failure> {
        let model = engine.model();
        let digest = Digest::try_from(model.digest().to_owned())
            .map_err(|error| failure_of(reason::WEIGHTS_INVALID, &error))?;
        let facts = ModelFacts {
            digest,
            layers: u32::try_from(model.layers()).unwrap_or(u32::MAX),
            hidden: model.hidden_size(),
        };
        let in_force = InForce::new(config, &facts, &Serving::Own);
        // The plan has checked what these refuse.
        let taps = interventions::taps(&in_force.plan)
            .map_err(|error| failure_of(reason::ARTIFACT_INVALID, &error))?;
        let interventions = interventions::interventions(&in_force.plan)
            .map_err(|error| failure_of(reason::ARTIFACT_INVALID, &error))?;
        Ok(Self { in_force, created, taps, interventions, engine })
    }
}
