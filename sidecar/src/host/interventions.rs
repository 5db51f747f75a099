//! From a plan to what the engine does to the residual stream.

use crate::guard::{Cap, Plan, Steer, When};
use personaguard_crds::{ConditionAt, Positions};
use personaguard_model::{self as model, Gate, GateAt, Intervention, Probe, VectorError};
use std::sync::Arc;

/// The read-outs of a plan's taps, in their order.
///
/// # Errors
/// If a vector is unfit. A plan holds none that is.
pub fn probes(plan: &Plan) -> Result<Arc<[Probe]>, VectorError> {
    plan.taps.iter().map(|tap| Probe::new(tap.layer.0 as usize, &tap.values)).collect()
}

/// A plan's steering, then its caps, so that caps hold after the steering of their layer.
///
/// # Errors
/// If a vector is unfit. A plan holds none that is.
pub fn interventions(plan: &Plan) -> Result<Arc<[Intervention]>, VectorError> {
    let steering = plan.steering.iter().map(|steer| steering(plan, steer));
    steering.chain(plan.caps.iter().map(|cap| capping(plan, cap))).collect()
}

#[allow(clippy::cast_possible_truncation)]
fn steering(plan: &Plan, steer: &Steer) -> Result<Intervention, VectorError> {
    let tap = &plan.taps[steer.tap];
    let (layer, coefficient) = (tap.layer.0 as usize, steer.coefficient.get() as f32);
    let add = Intervention::add(layer, &tap.values, coefficient, positions(steer.positions))?;
    Ok(match steer.when {
        None => add,
        Some(When { tap, at, above, until }) => add.when(Gate {
            probe: tap,
            at: match at {
                ConditionAt::PromptLast => GateAt::PromptLast,
                ConditionAt::Token => GateAt::Token,
            },
            above: above as f32,
            until: until as f32,
        }),
    })
}

#[allow(clippy::cast_possible_truncation)]
fn capping(plan: &Plan, cap: &Cap) -> Result<Intervention, VectorError> {
    let tap = &plan.taps[cap.tap];
    let bound = |bound: Option<f64>| bound.map(|bound| bound as f32);
    let (floor, ceiling) = (bound(cap.floor), bound(cap.ceiling));
    Intervention::cap(tap.layer.0 as usize, &tap.values, floor, ceiling, positions(cap.positions))
}

fn positions(positions: Positions) -> model::Positions {
    match positions {
        Positions::Response => model::Positions::Response,
        Positions::Prompt => model::Positions::Prompt,
        Positions::All => model::Positions::All,
    }
}
