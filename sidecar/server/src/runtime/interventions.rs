//! From a plan to what the engine reads from the residual stream, and what it does to it.

use super::planned_change::{ChangeKind, PlannedChange, planned_changes};
use personaguard_guard::Plan;
use personaguard_model::{self as model, Gate, GatePosition, Intervention, Tap, VectorError};
use personaguard_terms::{Coefficient, ConditionAt, Layer, Positions};
use std::sync::Arc;

/// The read-outs of a plan's vectors, in their order.
///
/// # Errors
/// If a vector is unfit. None in a plan is.
pub fn taps(plan: &Plan) -> Result<Arc<[Tap]>, VectorError> {
    plan.vectors.iter().map(|vector| Tap::new(vector.layer.0 as usize, &vector.values)).collect()
}

/// A plan's steering, then its caps.
///
/// # Errors
/// If a vector is unfit. None in a plan is.
pub fn interventions(plan: &Plan) -> Result<Arc<[Intervention]>, VectorError> {
    planned_changes(plan).map(intervention).collect()
}

fn intervention(change: PlannedChange<'_>) -> Result<Intervention, VectorError> {
    let PlannedChange { layer, values, positions, kind } = change;
    match kind {
        ChangeKind::Steer(coefficient, planned) => {
            let gate = planned
                .map(|planned| gate(planned.vector, planned.at, planned.above, planned.until));
            steering(layer, values, coefficient, positions, gate)
        }
        ChangeKind::Cap { floor, ceiling } => capping(layer, values, floor, ceiling, positions),
    }
}

/// Adds a vector times a coefficient, while the gate is open.
///
/// # Errors
/// If the vector is unfit.
#[allow(clippy::cast_possible_truncation, reason = "the engine computes in f32")]
pub fn steering(
    layer: Layer,
    values: &[f32],
    coefficient: Coefficient,
    positions: Positions,
    gate: Option<Gate>,
) -> Result<Intervention, VectorError> {
    let add = Intervention::add(
        layer.0 as usize,
        values,
        coefficient.get() as f32,
        engine_positions(positions),
    )?;
    Ok(match gate {
        Some(gate) => add.when(gate),
        None => add,
    })
}

/// Keeps the projection on a vector between floor and ceiling.
///
/// # Errors
/// If the vector is unfit.
#[allow(clippy::cast_possible_truncation, reason = "the engine computes in f32")]
pub fn capping(
    layer: Layer,
    values: &[f32],
    floor: Option<f64>,
    ceiling: Option<f64>,
    positions: Positions,
) -> Result<Intervention, VectorError> {
    let bound = |bound: Option<f64>| bound.map(|bound| bound as f32);
    let (floor, ceiling) = (bound(floor), bound(ceiling));
    Intervention::cap(layer.0 as usize, values, floor, ceiling, engine_positions(positions))
}

/// A condition on a projection, by the number of its read-out.
#[must_use]
#[allow(clippy::cast_possible_truncation, reason = "the engine computes in f32")]
pub fn gate(tap: usize, at: ConditionAt, above: f64, until: f64) -> Gate {
    Gate {
        tap,
        at: match at {
            ConditionAt::PromptLast => GatePosition::PromptLast,
            ConditionAt::Token => GatePosition::Token,
        },
        above: above as f32,
        until: until as f32,
    }
}

fn engine_positions(positions: Positions) -> model::Positions {
    match positions {
        Positions::Response => model::Positions::Response,
        Positions::Prompt => model::Positions::Prompt,
        Positions::All => model::Positions::All,
    }
}
