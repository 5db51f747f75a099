//! An answer with its activations.

use super::request::Request;
use personaguard_model::MeanStates;

/// An answer with the activations of the model that reads it.
#[derive(Clone, Debug)]
pub(super) struct ScoredAnswer {
    /// The request that it answers.
    pub(super) request: Request,
    /// Its tokens, without the one that ends it.
    pub(super) tokens: Vec<u32>,
    /// Mean activations.
    pub(super) states: MeanStates,
}
