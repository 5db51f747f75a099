//! Changes of the residual stream, as a plan holds them.

use personaguard_terms::{Coefficient, ConditionAt, Layer, Positions};
use std::sync::Arc;

/// A direction in which the residual stream is changed, and which is not measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Direction {
    /// Name in the config, for example `evil/18-17`.
    pub name: String,
    /// The layer, 1-based.
    pub layer: Layer,
    /// Values, shape `[hidden]`, finite and not all zero.
    pub values: Arc<[f32]>,
}

/// Steering: h ← h + α·v at the layer of a measured vector, or along other directions.
#[derive(Clone, Debug, PartialEq)]
pub struct PlannedSteering {
    /// Index in [`vectors`](super::Plan::vectors).
    pub vector: usize,
    /// What is added in place of that vector; empty: the vector itself.
    pub at: Vec<Direction>,
    /// α, of the raw vector.
    pub coefficient: Coefficient,
    /// Token positions to steer at.
    pub positions: Positions,
    /// Steer only while this is open.
    pub gate: Option<SteeringGate>,
}

/// A condition on a projection.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SteeringGate {
    /// Index in [`vectors`](super::Plan::vectors).
    pub vector: usize,
    /// Where the projection is read.
    pub at: ConditionAt,
    /// Opens above this.
    pub above: f64,
    /// Closes when the projection is no longer above this.
    pub until: f64,
}

/// A cap: the projection on a measured vector, at its layer or another, stays between floor and
/// ceiling.
#[derive(Clone, Debug, PartialEq)]
pub struct PlannedCap {
    /// Index in [`vectors`](super::Plan::vectors).
    pub vector: usize,
    /// The vector at another layer; `None`: the measured vector itself.
    pub at: Option<Direction>,
    /// Lowest projection.
    pub floor: Option<f64>,
    /// Highest projection, not below the floor.
    pub ceiling: Option<f64>,
    /// Token positions to cap at.
    pub positions: Positions,
}

impl PlannedSteering {
    /// Steering along a measured vector, at every response token.
    pub(crate) fn of_response(vector: usize, coefficient: Coefficient) -> Self {
        Self { vector, at: Vec::new(), coefficient, positions: Positions::Response, gate: None }
    }
}

impl PlannedCap {
    /// Makes this cap the narrower of both, at the positions of both. If that leaves no room, the
    /// ceiling stands.
    pub(crate) fn narrow(&mut self, other: &Self) {
        self.positions = union(self.positions, other.positions);
        self.ceiling = self.ceiling.into_iter().chain(other.ceiling).reduce(f64::min);
        self.floor = self.floor.into_iter().chain(other.floor).reduce(f64::max);
        if let (Some(floor), Some(ceiling)) = (self.floor, self.ceiling) {
            self.floor = Some(floor.min(ceiling));
        }
    }

    /// Whether both bound the same projection.
    pub(crate) fn bounds_same_as(&self, other: &Self) -> bool {
        let layer = |cap: &Self| cap.at.as_ref().map(|at| at.layer);
        self.vector == other.vector && layer(self) == layer(other)
    }
}

/// The positions of both.
pub(crate) fn union(one: Positions, other: Positions) -> Positions {
    if one == other { one } else { Positions::All }
}
