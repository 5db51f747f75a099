//! What a plan changes in the residual stream, one change after another, whichever engine makes
//! them.

use personaguard_guard::{Plan, PlannedCap, PlannedSteering, SteeringGate};
use personaguard_terms::{Coefficient, Layer, Positions};
use std::sync::Arc;

/// One change along one vector.
#[derive(Clone, Copy, Debug)]
pub(super) struct PlannedChange<'a> {
    pub(super) layer: Layer,
    pub(super) values: &'a Arc<[f32]>,
    pub(super) positions: Positions,
    pub(super) kind: ChangeKind,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum ChangeKind {
    /// Adds the vector times a coefficient, while the gate is open.
    Steer(Coefficient, Option<SteeringGate>),
    /// Keeps the projection between floor and ceiling.
    Cap { floor: Option<f64>, ceiling: Option<f64> },
}

/// A plan's steering, then its caps: caps at one layer apply after steering.
pub(super) fn planned_changes(plan: &Plan) -> impl Iterator<Item = PlannedChange<'_>> {
    let steering = plan.steering.iter().flat_map(|steering| steered(plan, steering));
    steering.chain(plan.caps.iter().map(|cap| capped(plan, cap)))
}

/// Layer and values of a vector.
type Target<'a> = (Layer, &'a Arc<[f32]>);

fn measured(plan: &Plan, vector: usize) -> Target<'_> {
    (plan.vectors[vector].layer, &plan.vectors[vector].values)
}

fn steered<'a>(
    plan: &'a Plan,
    steering: &'a PlannedSteering,
) -> impl Iterator<Item = PlannedChange<'a>> {
    let own = steering.at.is_empty().then(|| measured(plan, steering.vector));
    let others = steering.at.iter().map(|at| (at.layer, &at.values));
    others.chain(own).map(|(layer, values)| PlannedChange {
        layer,
        values,
        positions: steering.positions,
        kind: ChangeKind::Steer(steering.coefficient, steering.gate),
    })
}

fn capped<'a>(plan: &'a Plan, cap: &'a PlannedCap) -> PlannedChange<'a> {
    let at = cap.at.as_ref().map(|at| (at.layer, &at.values));
    let (layer, values) = at.unwrap_or_else(|| measured(plan, cap.vector));
    let kind = ChangeKind::Cap { floor: cap.floor, ceiling: cap.ceiling };
    PlannedChange { layer, values, positions: cap.positions, kind }
}
