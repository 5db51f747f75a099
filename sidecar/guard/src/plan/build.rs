//! From a config and the facts of the loaded model to a plan.

use super::Plan;
use super::intervention::{Direction, PlannedCap, PlannedSteering, SteeringGate, union};
use super::rule::{MeasuredVector, PlannedPolicy, Rule};
use crate::bounds::Bounds;
use crate::refusal::Refusal;
use crate::vector::{ModelFacts, Vectors};
use personaguard_terms::{
    Action, Capping, Coherence, FailurePolicy, Mode, Score, Steering, UnscorableRequests,
};
use personaguard_wire::Part;
use personaguard_wire::{
    Baseline, GuardConfig, RefusedTrait, ResolvedPolicy, ResolvedTrait, ResolvedVector,
    UnresolvedPolicy,
};
use std::sync::Arc;

/// Changes of the residual stream in one plan at most. The engine takes twice as many.
const MAX_CHANGES: usize = 128;

impl Plan {
    /// The plan of the policies in a config, for a model with these facts. A trait whose vector
    /// does not fit is refused, never enforced.
    #[must_use]
    pub fn new(config: &GuardConfig, vectors: &Vectors, model: &ModelFacts) -> Self {
        let plan = Self { model: Some(model.digest.clone()), ..Self::default() };
        let mut builder = Builder { plan, config, vectors, model };
        config.policies.iter().for_each(|policy| builder.add_policy(policy));
        builder.plan.policies.extend(config.unresolved.iter().map(unresolved));
        builder.plan
    }
}

/// A policy of which nothing can be enforced.
fn unresolved(policy: &UnresolvedPolicy) -> PlannedPolicy {
    PlannedPolicy {
        name: policy.name.clone(),
        uid: String::new(),
        generation: 0,
        digest: None,
        mode: Mode::Enforce,
        failure_policy: policy.failure_policy,
        unscorable_requests: match policy.failure_policy {
            FailurePolicy::Open => UnscorableRequests::Pass,
            FailurePolicy::Closed => UnscorableRequests::Refuse,
        },
        min_tokens: 1,
        window: None,
        sampling: None,
        record_conversations: false,
        refused: Vec::new(),
        unresolved: Some(policy.failure.clone()),
    }
}

struct Builder<'a> {
    plan: Plan,
    config: &'a GuardConfig,
    vectors: &'a Vectors,
    model: &'a ModelFacts,
}

impl Builder<'_> {
    fn add_policy(&mut self, policy: &ResolvedPolicy) {
        let audit = policy.mode == Mode::Audit;
        let mut refused = Vec::new();
        for rule in &policy.traits {
            if let Err(refusal) = self.add_rule(rule, audit) {
                let failure = refusal.into();
                refused.push(RefusedTrait { vector: rule.vector.clone(), failure });
            }
        }
        let window = policy.evidence.window;
        self.plan.policies.push(PlannedPolicy {
            name: policy.name.clone(),
            uid: policy.uid.clone(),
            generation: policy.generation,
            // Of what is enforced here, not what the file says of itself.
            digest: Some(self.config.enforced(policy)),
            mode: policy.mode,
            failure_policy: if audit { FailurePolicy::Open } else { policy.failure_policy },
            unscorable_requests: policy.unscorable_requests(),
            min_tokens: policy.evidence.min_tokens.max(1) as usize,
            window: window.filter(|window| (1..=window.of_last).contains(&window.past)),
            // A fraction that is no number takes nothing: then it looks at every response.
            sampling: policy.sampling.filter(|it| it.fraction.is_none_or(|part| part > 0.0)),
            record_conversations: policy.record_conversations,
            refused,
            unresolved: None,
        });
    }

    /// Adds a rule of the policy that is about to be added.
    fn add_rule(&mut self, rule: &ResolvedTrait, audit: bool) -> Result<(), Refusal> {
        if !rule.is_finite() || !rule.is_computable() {
            return Err(Refusal::NotFinite { vector: rule.vector.clone() });
        }
        let vector = self.measure(&rule.vector)?;
        let action = if audit { Action::Audit } else { rule.action.clone() };
        match &action {
            Action::Steer(steering) => self.add_steering(vector, rule, steering)?,
            Action::Cap(capping) => self.add_caps(vector, rule, capping)?,
            Action::Audit
            | Action::Alert
            | Action::Regenerate(_)
            | Action::Redact(_)
            | Action::Block => {}
        }
        // A vector's own baseline is that of `ResponseAvg` only.
        let vector_baseline = self.plan.vectors[vector].baseline;
        let vector_baseline = vector_baseline.filter(|_| rule.score == Score::ResponseAvg);
        self.plan.rules.push(Rule {
            policy: self.plan.policies.len(),
            vector,
            score: rule.score,
            bounds: Bounds { min: rule.min, max: rule.max },
            declared_action: rule.action.kind(),
            action,
            requests: rule.requests,
            calibrates: rule.calibrates.clone(),
            baseline: rule.baseline.or(vector_baseline),
        });
        Ok(())
    }

    fn add_steering(
        &mut self,
        vector: usize,
        rule: &ResolvedTrait,
        steering: &Steering,
    ) -> Result<(), Refusal> {
        let names = steering.layers.iter().map(|layer| Part::Increment(*layer).name(&rule.vector));
        let at = names.map(|name| self.direction(&name)).collect::<Result<Vec<_>, _>>()?;
        self.check_room(at.len())?;
        let gate = self.gate(vector, &at, steering)?;
        self.steer(PlannedSteering {
            vector,
            at,
            coefficient: steering.coefficient,
            positions: steering.positions,
            gate,
        });
        let coherence = self.plan.coherence.unwrap_or(steering.coherence);
        self.plan.coherence = Some(strictest(coherence, steering.coherence));
        Ok(())
    }

    fn add_caps(
        &mut self,
        vector: usize,
        rule: &ResolvedTrait,
        capping: &Capping,
    ) -> Result<(), Refusal> {
        let positions = capping.positions;
        let further = capping.layers.iter().map(|bounds| {
            let at = Some(self.direction(&Part::At(bounds.layer).name(&rule.vector))?);
            Ok(PlannedCap { vector, at, floor: bounds.floor, ceiling: bounds.ceiling, positions })
        });
        let further = further.collect::<Result<Vec<_>, Refusal>>()?;
        self.check_room(further.len())?;
        if capping.floor.is_some() || capping.ceiling.is_some() {
            let (floor, ceiling) = (capping.floor, capping.ceiling);
            self.cap(PlannedCap { vector, at: None, floor, ceiling, positions });
        }
        further.into_iter().for_each(|cap| self.cap(cap));
        Ok(())
    }

    fn check_room(&self, further: usize) -> Result<(), Refusal> {
        if self.plan.intervention_count() + further < MAX_CHANGES {
            Ok(())
        } else {
            Err(Refusal::TooManyChanges { limit: MAX_CHANGES })
        }
    }

    /// The condition of a steering. Its projection must be known before it is needed.
    fn gate(
        &mut self,
        vector: usize,
        at: &[Direction],
        steering: &Steering,
    ) -> Result<Option<SteeringGate>, Refusal> {
        let Some(condition) = &steering.when else { return Ok(None) };
        let read = condition.vector.as_deref().map_or(Ok(vector), |name| self.measure(name))?;
        let own_layer = self.plan.vectors[vector].layer;
        let lowest = at.iter().map(|direction| direction.layer).min().unwrap_or(own_layer);
        if self.plan.vectors[read].layer > lowest {
            let vector = self.plan.vectors[read].name.clone();
            return Err(Refusal::ConditionTooLate { vector });
        }
        let until = condition.until.unwrap_or(condition.above).min(condition.above);
        let (at, above) = (condition.at, condition.above);
        Ok(Some(SteeringGate { vector: read, at, above, until }))
    }

    /// Two policies that steer along one vector steer once, at the positions of both. Different
    /// coefficients are refused when a policy is applied; should they get this far, the larger one
    /// stands, and an unconditional steering before a conditional one.
    fn steer(&mut self, new: PlannedSteering) {
        let known = self.plan.steering.iter_mut().find(|known| known.vector == new.vector);
        let Some(known) = known else { return self.plan.steering.push(new) };
        known.positions = union(known.positions, new.positions);
        known.gate = known.gate.filter(|_| new.gate.is_some());
        if new.coefficient.get().abs() > known.coefficient.get().abs() {
            known.coefficient = new.coefficient;
        }
    }

    /// Two caps on one projection are one, the narrower of both. Caps that leave no room are
    /// refused when a policy is applied.
    fn cap(&mut self, new: PlannedCap) {
        match self.plan.caps.iter_mut().find(|known| known.bounds_same_as(&new)) {
            Some(known) => known.narrow(&new),
            None => self.plan.caps.push(new),
        }
    }

    /// Index of a vector among those that are measured.
    fn measure(&mut self, name: &str) -> Result<usize, Refusal> {
        let known = self.plan.vectors.iter().position(|vector| vector.name == name);
        if let Some(index) = known {
            return Ok(index);
        }
        let (vector, values) = self.vector(name)?;
        let measured = MeasuredVector {
            name: name.to_owned(),
            trait_name: vector.trait_name.clone(),
            layer: vector.layer,
            sha256: vector.sha256.clone(),
            values: Arc::clone(values),
            baseline: vector.baseline.filter(Baseline::is_valid),
        };
        self.plan.vectors.push(measured);
        Ok(self.plan.vectors.len() - 1)
    }

    fn direction(&self, name: &str) -> Result<Direction, Refusal> {
        let (vector, values) = self.vector(name)?;
        let values = Arc::clone(values);
        Ok(Direction { name: name.to_owned(), layer: vector.layer, values })
    }

    /// A vector of the config that fits the model, with its values.
    fn vector(&self, name: &str) -> Result<(&ResolvedVector, &Arc<[f32]>), Refusal> {
        let vector = || name.to_owned();
        let missing = || Refusal::VectorMissing { vector: vector() };
        let resolved = self.config.vectors.get(name).ok_or_else(missing)?;
        let values = match self.vectors.get(name) {
            Some(values) => values.as_ref().map_err(Refusal::clone)?,
            None => return Err(Refusal::ValuesMissing { vector: vector() }),
        };
        self.model.check(name, resolved, values)?;
        Ok((resolved, values))
    }
}

/// The stricter limits of both.
fn strictest(one: Coherence, other: Coherence) -> Coherence {
    Coherence {
        min_log_likelihood: one.min_log_likelihood.max(other.min_log_likelihood),
        max_repetition: one.max_repetition.min(other.max_repetition),
        back_off: one.back_off || other.back_off,
    }
}
