//! From a plan to what the engine does to the residual stream.

use personaguard_guard::{Cap, Plan, Steer, When};
use personaguard_model::{self as model, Gate, GatePosition, Intervention, Tap, VectorError};
use personaguard_terms::{ConditionAt, Layer, Positions};
use std::sync::Arc;

/// The read-outs of a plan's taps, in their order.
///
/// # Errors
/// If a vector is unfit. A plan holds none that is.
pub fn taps(plan: &Plan) -> Result<Arc<[Tap]>, VectorError> {
    plan.taps.iter().map(|tap| Tap::new(tap.layer.0 as usize, &tap.values)).collect()
}

/// A plan's steering, then its caps, so that caps hold after the steering of their layer.
///
/// # Errors
/// If a vector is unfit. A plan holds none that is.
pub fn interventions(plan: &Plan) -> Result<Arc<[Intervention]>, VectorError> {
    let steering = plan.steering.iter().flat_map(|steer| {
        let own = steer.at.is_empty().then(|| own(plan, steer.tap));
        let places = steer.at.iter().map(|at| (at.layer, &*at.values)).chain(own);
        places.map(|place| steering(steer, place))
    });
    steering.chain(plan.caps.iter().map(|cap| capping(plan, cap))).collect()
}

/// Layer and values of a tap.
fn own(plan: &Plan, tap: usize) -> (Layer, &[f32]) {
    (plan.taps[tap].layer, &plan.taps[tap].values)
}

#[allow(clippy::cast_possible_truncation)]
fn steering(steer: &Steer, (layer, values): (Layer, &[f32])) -> Result<Intervention, VectorError> {
    let coefficient = steer.coefficient.get() as f32;
    let add = Intervention::add(layer.0 as usize, values, coefficient, positions(steer.positions))?;
    Ok(match steer.when {
        None => add,
        Some(When { tap, at, above, until }) => add.when(Gate {
            tap,
            at: match at {
                ConditionAt::PromptLast => GatePosition::PromptLast,
                ConditionAt::Token => GatePosition::Token,
            },
            above: above as f32,
            until: until as f32,
        }),
    })
}

#[allow(clippy::cast_possible_truncation)]
fn capping(plan: &Plan, cap: &Cap) -> Result<Intervention, VectorError> {
    let (layer, values) =
        cap.at.as_ref().map_or_else(|| own(plan, cap.tap), |at| (at.layer, &*at.values));
    let bound = |bound: Option<f64>| bound.map(|bound| bound as f32);
    let (floor, ceiling) = (bound(cap.floor), bound(cap.ceiling));
    Intervention::cap(layer.0 as usize, values, floor, ceiling, positions(cap.positions))
}

fn positions(positions: Positions) -> model::Positions {
    match positions {
        Positions::Response => model::Positions::Response,
        Positions::Prompt => model::Positions::Prompt,
        Positions::All => model::Positions::All,
    }
}
