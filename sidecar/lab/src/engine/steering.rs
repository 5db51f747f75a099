//! Steering, as the lab tries it.

use crate::error::Result;
use personaguard_model::{Intervention, Positions};

/// Adds a vector to the residual stream at one layer, at each token of the response.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Steering<'a> {
    pub(crate) layer: usize,
    /// As it is, not normalised.
    pub(crate) vector: &'a [f32],
    pub(crate) coefficient: f32,
}

impl Steering<'_> {
    /// For our own engine.
    ///
    /// # Errors
    /// If the vector is zero, or a value is not finite.
    pub(super) fn intervention(self) -> Result<Intervention> {
        let Self { layer, vector, coefficient } = self;
        Ok(Intervention::add(layer, vector, coefficient, Positions::Response)?)
    }
}
