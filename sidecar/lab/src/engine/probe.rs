//! Directions that activations are projected on.

use crate::error::{Context as _, Result};
use crate::files::LoadedVector;
use personaguard_model::{Tap, VectorError};
use personaguard_persona::project;
use std::sync::Arc;

/// A vector at a layer.
#[derive(Clone, Debug)]
pub(crate) struct Probe {
    vector: Arc<[f32]>,
    tap: Tap,
}

impl Probe {
    /// # Errors
    /// If the vector is zero, or a value is not finite.
    pub(crate) fn new(layer: usize, vector: &[f32]) -> Result<Self, VectorError> {
        Ok(Self { vector: vector.into(), tap: Tap::new(layer, vector)? })
    }

    /// For our own engine, which projects each token.
    pub(super) fn tap(&self) -> Tap {
        self.tap.clone()
    }

    /// The projection of states, which are given layer by layer; `None` if they lack the layer.
    pub(super) fn of(&self, states: &[Vec<f32>]) -> Option<f64> {
        states.get(self.tap.layer()).map(|state| project(state, &self.vector))
    }
}

/// Probes on the best layer of each vector.
///
/// # Errors
/// If a vector is zero there, as an imported one may be.
pub(crate) fn best_layer_probes(vectors: &[LoadedVector]) -> Result<Arc<[Probe]>> {
    vectors
        .iter()
        .map(|vector| {
            let layer = vector.file.best_layer();
            Probe::new(layer as usize, vector.best()?)
                .with_context(|| format!("{} at layer {layer}", vector.path.display()))
        })
        .collect()
}
