//! A model that the user's own engine runs, measured and changed by the plugin in it.

use super::in_force::InForce;
use super::message::failure;
use super::planned_change::{ChangeKind, PlannedChange, planned_changes};
use personaguard_engine_link::{Change, Effect, EngineLink, MAX_SLOTS, VectorSet, When};
use personaguard_guard::{MeasuredVector, Plan, SteeringGate};
use personaguard_persona::sha256_hex;
use personaguard_terms::conditions::reason;
use personaguard_terms::{ConditionAt, Layer, Positions};
use personaguard_wire::Failure;
use std::sync::Arc;

/// Changes of one request at most.
const MAX_CHANGES: usize = 16;

/// What is in force, with the link to the plugin that has its vectors.
#[derive(Debug)]
pub struct LinkedModel {
    /// What is measured and enforced.
    pub in_force: InForce,
    pub(crate) link: Arc<EngineLink>,
    pub(crate) vectors: VectorSet,
    /// Nobody outside knows which cache a change leads to.
    secret: Arc<str>,
}

/// Why a plan is beyond what the plugin does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Beyond {
    /// There are too many changes.
    #[error(
        "the policies change the residual stream in more than {MAX_CHANGES} places, and the plugin \
         in the model server does not: leave out layers or traits"
    )]
    Changes,
    /// A vector is not among those that were sent.
    #[error("a policy uses a vector that the plugin in the model server does not have")]
    Vector,
}

/// The vectors that a plan measures, and changes along.
pub(super) fn vectors_of(plan: &Plan, hidden: usize, slots: usize) -> Result<VectorSet, Failure> {
    let measured = plan.vectors.iter().map(|vector| (vector.layer, &vector.values));
    let changed = planned_changes(plan).map(|change| (change.layer, change.values));
    let set = VectorSet::new(hidden, measured.chain(changed));
    let most = slots.min(MAX_SLOTS);
    let message = if set.slots.len() > most {
        format!(
            "the policies use {} vectors at their layers, and the plugin in the model server has \
             room for {most}: leave out layers or traits",
            set.slots.len()
        )
    } else if let Err(error) = changes_of(&set, plan) {
        error.to_string()
    } else {
        return Ok(set);
    };
    Err(failure(reason::ENGINE_REFUSES, &message))
}

impl LinkedModel {
    pub(super) fn new(
        in_force: InForce,
        link: Arc<EngineLink>,
        vectors: VectorSet,
        secret: Arc<str>,
    ) -> Self {
        Self { in_force, link, vectors, secret }
    }

    /// What a plan changes, as the plugin is told.
    pub(crate) fn changes(&self, plan: &Plan) -> Result<Vec<Change>, Beyond> {
        changes_of(&self.vectors, plan)
    }

    /// Where in a row the projections of a plan's vectors are, in their order.
    pub(crate) fn columns(&self, plan: &Plan) -> Result<Vec<usize>, Beyond> {
        let slot = |vector: &MeasuredVector| slot(&self.vectors, vector.layer, &vector.values);
        plan.vectors.iter().map(slot).collect()
    }

    /// Which cache a request may share: where something changes the stream, one with requests that
    /// are changed alike; else what the client says.
    pub(crate) fn cache_salt(&self, changes: &[Change], own: Option<&str>) -> Option<String> {
        if changes.is_empty() {
            return own.map(str::to_owned);
        }
        let changes = serde_json::to_string(changes).unwrap_or_default();
        let set = self.vectors.number;
        let all = format!("{}\n{set}\n{changes}\n{}", self.secret, own.unwrap_or_default());
        Some(sha256_hex(all.as_bytes()))
    }
}

fn changes_of(set: &VectorSet, plan: &Plan) -> Result<Vec<Change>, Beyond> {
    let changes = planned_changes(plan).map(|planned| change(set, plan, planned));
    let changes = changes.collect::<Result<Vec<_>, _>>()?;
    if changes.len() > MAX_CHANGES { Err(Beyond::Changes) } else { Ok(changes) }
}

fn slot(set: &VectorSet, layer: Layer, values: &[f32]) -> Result<usize, Beyond> {
    set.slot_of(layer, values).ok_or(Beyond::Vector)
}

#[allow(clippy::cast_possible_truncation, reason = "the engine computes in f32")]
fn change(set: &VectorSet, plan: &Plan, planned: PlannedChange<'_>) -> Result<Change, Beyond> {
    let (effect, when) = match planned.kind {
        ChangeKind::Steer(coefficient, gate) => {
            let when = gate.map(|gate| when(set, plan, gate)).transpose()?;
            (Effect::Add { add: coefficient.get() as f32 }, when)
        }
        ChangeKind::Cap { floor, ceiling } => {
            let bound = |bound: Option<f64>| bound.map(|bound| bound as f32);
            (Effect::Keep { low: bound(floor), high: bound(ceiling) }, None)
        }
    };
    Ok(Change {
        slot: slot(set, planned.layer, planned.values)?,
        effect,
        positions: match planned.positions {
            Positions::Response => "response",
            Positions::Prompt => "prompt",
            Positions::All => "all",
        },
        when,
    })
}

#[allow(clippy::cast_possible_truncation, reason = "the engine computes in f32")]
fn when(set: &VectorSet, plan: &Plan, gate: SteeringGate) -> Result<When, Beyond> {
    let vector = plan.vectors.get(gate.vector).ok_or(Beyond::Vector)?;
    Ok(When {
        slot: slot(set, vector.layer, &vector.values)?,
        at: match gate.at {
            ConditionAt::PromptLast => "prompt_last",
            ConditionAt::Token => "token",
        },
        above: gate.above as f32,
        until: (gate.until < gate.above).then_some(gate.until as f32),
    })
}
