//! Reading the residual stream.

use super::vector::{VectorError, unit};
use crate::kernel::vector::dot;
use std::sync::Arc;

/// A direction on which one layer's residual stream is projected, once for each token.
///
/// The projection is ⟨a, v⟩ / ‖v‖ for activation a and vector v, in the units of the residual
/// stream.
#[derive(Clone, Debug, PartialEq)]
pub struct Tap {
    layer: usize,
    /// Unit length.
    direction: Arc<[f32]>,
}

impl Tap {
    /// A tap at `layer` (0..=layers) along `vector`, which has as many values as the hidden state
    /// and any length but zero. Whether layer and vector fit the model is checked when a request is
    /// submitted.
    ///
    /// # Errors
    /// The vector is zero, or holds a value that is not finite.
    pub fn new(layer: usize, vector: &[f32]) -> Result<Self, VectorError> {
        Ok(Self { layer, direction: unit(vector)? })
    }

    /// The layer that is read, 0..=layers.
    #[must_use]
    pub fn layer(&self) -> usize {
        self.layer
    }

    /// The vector, scaled to unit length.
    pub(crate) fn direction(&self) -> &Arc<[f32]> {
        &self.direction
    }

    /// Projection of one token's activation.
    pub(crate) fn project(&self, activation: &[f32]) -> f32 {
        dot(&self.direction, activation)
    }
}

#[cfg(test)]
mod tests;
