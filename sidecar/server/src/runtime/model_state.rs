//! What is loaded and in force at one moment.

use super::served::Served;
use personaguard_terms::FailurePolicy;
use personaguard_wire::PodState;
use personaguard_wire::{Failure, ModelObservation, PolicyAcknowledgement};

/// What is loaded and in force at one moment.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Name of the model, once a config was read.
    pub model_name: String,
    /// The model.
    pub model: ModelState,
    /// How far the weights have been fetched, while they are and were not served before.
    pub fetching: Option<Failure>,
    /// What happens to traffic while no model serves; `None` before a config was read.
    pub failure_policy: Option<FailurePolicy>,
    /// If the config folder as it is now is not applied: why.
    pub config_error: Option<String>,
}

/// Whether the model serves.
#[derive(Clone, Debug, Default)]
pub enum ModelState {
    /// It is being loaded, or no config was read yet.
    #[default]
    Loading,
    /// It serves.
    Ready(Served),
    /// It cannot be served.
    Failed(Failure),
}

impl Snapshot {
    /// What the operator is told about the model.
    pub(super) fn observation(&self) -> ModelObservation {
        let (state, digest, failure) = match &self.model {
            ModelState::Loading => (PodState::Loading, None, self.fetching.clone()),
            ModelState::Ready(served) => {
                (PodState::Ready, Some(served.in_force().digest.clone()), None)
            }
            ModelState::Failed(failure) => (PodState::Failed, None, Some(failure.clone())),
        };
        ModelObservation { name: self.model_name.clone(), state, digest, failure }
    }

    /// What is enforced. Nothing is while no model serves.
    pub(super) fn acknowledgements(&self) -> Vec<PolicyAcknowledgement> {
        match &self.model {
            ModelState::Loading | ModelState::Failed(_) => Vec::new(),
            ModelState::Ready(served) => served.in_force().acknowledgements(),
        }
    }
}
