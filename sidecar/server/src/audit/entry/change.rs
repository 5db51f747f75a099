//! What was done to the residual stream.

use personaguard_guard::{Plan, PlannedCap, PlannedSteering, SteeringGate};
use personaguard_terms::{Coefficient, ConditionAt, Positions};
use serde::{Deserialize, Serialize};

/// What was done to the residual stream along one vector.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// Name of the `PersonaVector`.
    pub vector: String,
    /// Steering: the coefficient.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub coefficient: Option<Coefficient>,
    /// Steering: when.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub when: Option<ChangeCondition>,
    /// Capping: the floor.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub floor: Option<f64>,
    /// Capping: the ceiling.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ceiling: Option<f64>,
    /// Token positions.
    pub positions: Positions,
}

/// The condition under which it was steered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChangeCondition {
    /// Name of the `PersonaVector` that decided.
    pub vector: String,
    /// Where its projection was read.
    pub at: ConditionAt,
    /// It began to hold above this.
    pub above: f64,
    /// And ended when the projection was no longer above this.
    pub until: f64,
}

/// What a plan does to the residual stream, in order.
#[must_use]
pub fn changes(plan: &Plan) -> Vec<Change> {
    let steering = plan.steering.iter().flat_map(|steering| steered(plan, steering));
    steering.chain(plan.caps.iter().map(|cap| capped(plan, cap))).collect()
}

fn steered<'a>(plan: &'a Plan, steering: &'a PlannedSteering) -> impl Iterator<Item = Change> {
    let own = steering.at.is_empty().then(|| name(plan, steering.vector));
    let vectors = steering.at.iter().map(|at| at.name.clone()).chain(own);
    vectors.map(|vector| Change {
        vector,
        coefficient: Some(steering.coefficient),
        when: steering.gate.map(|gate| condition(plan, gate)),
        floor: None,
        ceiling: None,
        positions: steering.positions,
    })
}

fn condition(plan: &Plan, gate: SteeringGate) -> ChangeCondition {
    ChangeCondition {
        vector: name(plan, gate.vector),
        at: gate.at,
        above: gate.above,
        until: gate.until,
    }
}

fn capped(plan: &Plan, cap: &PlannedCap) -> Change {
    Change {
        vector: cap.at.as_ref().map_or_else(|| name(plan, cap.vector), |at| at.name.clone()),
        coefficient: None,
        when: None,
        floor: cap.floor,
        ceiling: cap.ceiling,
        positions: cap.positions,
    }
}

fn name(plan: &Plan, vector: usize) -> String {
    plan.vectors[vector].name.clone()
}
