//! Changing the residual stream.

use super::positions::Positions;
use super::vector::{VectorError, norm, unit};
use crate::kernel::vector::{add_scaled, dot};
use std::sync::Arc;

/// A change of one layer's residual stream, made after the taps of that layer have read it.
#[derive(Clone, Debug, PartialEq)]
pub struct Intervention {
    pub(crate) layer: usize,
    pub(crate) positions: Positions,
    pub(crate) change: Change,
    pub(crate) gate: Option<Gate>,
}

/// What an intervention does to one activation h.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Change {
    /// h ← h + v; the coefficient is already in v.
    Add(Arc<[f32]>),
    /// h ← h − (p − clamp(p, floor, ceiling)) · û, with the projection p = ⟨h, û⟩.
    Cap { unit: Arc<[f32]>, floor: f32, ceiling: f32 },
}

/// When an [`Intervention`] acts on the response: while the projection on a tap is above a bound,
/// with hysteresis.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Gate {
    /// Number of the tap in the request. Its layer must not be above the intervention's.
    pub tap: usize,
    /// Where the projection is read.
    pub at: GatePosition,
    /// The gate opens where the projection is above this.
    pub above: f32,
    /// An open gate closes where the projection is no longer above this. At most [`Self::above`].
    pub until: f32,
}

/// Where a [`Gate`] reads its projection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GatePosition {
    /// At the last prompt token, for the whole response.
    PromptLast,
    /// At each response token, for that token.
    Token,
}

impl Intervention {
    /// Steering: h ← h + coefficient · vector at `layer` (0..=layers), with the vector as it is,
    /// not normalized.
    ///
    /// # Errors
    /// A value is not finite, or the vector is zero.
    pub fn add(
        layer: usize,
        vector: &[f32],
        coefficient: f32,
        positions: Positions,
    ) -> Result<Self, VectorError> {
        norm(vector)?;
        let scaled: Arc<[f32]> = vector.iter().map(|v| v * coefficient).collect();
        if scaled.iter().any(|v| !v.is_finite()) {
            return Err(VectorError::NotFinite);
        }
        Ok(Self { layer, positions, change: Change::Add(scaled), gate: None })
    }

    /// Capping: keeps the projection ⟨h, v̂⟩ at `layer` (0..=layers) within `floor..=ceiling`, in
    /// the units of a [`super::Tap`] on the same vector. `None` leaves a side open.
    ///
    /// # Errors
    /// The vector is zero, a value is not finite, or the floor is above the ceiling.
    pub fn cap(
        layer: usize,
        vector: &[f32],
        floor: Option<f32>,
        ceiling: Option<f32>,
        positions: Positions,
    ) -> Result<Self, VectorError> {
        if [floor, ceiling].into_iter().flatten().any(|bound| !bound.is_finite()) {
            return Err(VectorError::NotFinite);
        }
        let floor = floor.unwrap_or(f32::NEG_INFINITY);
        let ceiling = ceiling.unwrap_or(f32::INFINITY);
        if floor > ceiling {
            return Err(VectorError::FloorAboveCeiling { floor, ceiling });
        }
        let change = Change::Cap { unit: unit(vector)?, floor, ceiling };
        Ok(Self { layer, positions, change, gate: None })
    }

    /// The same change, of the response only and only while the gate is open. If it never opens,
    /// the response is, to the bit, the one without the change.
    #[must_use]
    pub fn when(self, gate: Gate) -> Self {
        Self { positions: Positions::Response, gate: Some(gate), ..self }
    }

    /// The layer that is changed, 0..=layers.
    #[must_use]
    pub fn layer(&self) -> usize {
        self.layer
    }
}

impl Change {
    /// Values of its vector.
    pub(crate) fn width(&self) -> usize {
        match self {
            Self::Add(vector) => vector.len(),
            Self::Cap { unit, .. } => unit.len(),
        }
    }

    /// Changes one token's activation.
    pub(crate) fn apply(&self, activation: &mut [f32]) {
        match self {
            Self::Add(vector) => add_scaled(activation, 1.0, vector),
            Self::Cap { unit, floor, ceiling } => {
                let projection = dot(unit, activation);
                let excess = projection - projection.clamp(*floor, *ceiling);
                if excess != 0.0 {
                    add_scaled(activation, -excess, unit);
                }
            }
        }
    }

    /// Appends bytes that differ for any two changes that differ.
    pub(crate) fn fingerprint(&self, bytes: &mut Vec<u8>) {
        let (kind, vector, bounds) = match self {
            Self::Add(vector) => (0_u8, vector, [0.0; 2]),
            Self::Cap { unit, floor, ceiling } => (1, unit, [*floor, *ceiling]),
        };
        bytes.push(kind);
        bytes.extend(bounds.iter().chain(vector.iter()).flat_map(|value| value.to_le_bytes()));
    }
}

#[cfg(test)]
mod tests;
