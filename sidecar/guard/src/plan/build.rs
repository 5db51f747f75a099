//! From a policy set and the facts of the loaded model to a plan.

use super::Plan;
use super::intervention::{Direction, PlannedCap, PlannedSteering, SteeringGate};
use super::rule::{MeasuredVector, PlannedPolicy, RefusedTrait, Rule};
use crate::policy::{
    Action, Capping, FailurePolicy, Mode, Policy, PolicySet, Score, Steering, TraitRule,
    UnresolvedPolicy,
};
use crate::refusal::Refusal;
use crate::vector::{ModelFacts, Vector};
use std::sync::Arc;

/// Changes of the residual stream in one plan at most. The engine takes twice as many.
const MAX_CHANGES: usize = 128;

impl Plan {
    /// The plan of a policy set, for a model with these facts. A trait whose vector does not fit
    /// is refused, never enforced.
    #[must_use]
    pub fn new(set: &PolicySet, model: &ModelFacts) -> Self {
        let plan = Self { model: Some(model.digest.clone()), ..Self::default() };
        let mut builder = Builder { plan, set, model };
        set.policies.iter().for_each(|policy| builder.add_policy(policy));
        builder.plan.policies.extend(set.unresolved.iter().map(unresolved));
        builder.plan
    }
}

/// A policy of which nothing can be enforced.
fn unresolved(policy: &UnresolvedPolicy) -> PlannedPolicy {
    PlannedPolicy {
        name: policy.name.clone(),
        generation: 0,
        digest: None,
        mode: Mode::Enforce,
        failure_policy: policy.failure_policy,
        min_tokens: 1,
        window: None,
        sampling: None,
        record_conversations: false,
        refused: Vec::new(),
        unresolved: Some(policy.why.clone()),
    }
}

struct Builder<'a> {
    plan: Plan,
    set: &'a PolicySet,
    model: &'a ModelFacts,
}

impl Builder<'_> {
    fn add_policy(&mut self, policy: &Policy) {
        let audit = policy.mode == Mode::Audit;
        let mut refused = Vec::new();
        for rule in &policy.traits {
            if let Err(refusal) = self.add_rule(rule, audit) {
                refused.push(RefusedTrait { vector: rule.vector.clone(), refusal });
            }
        }
        self.plan.policies.push(PlannedPolicy {
            name: policy.name.clone(),
            generation: policy.generation,
            digest: policy.digest.clone(),
            mode: policy.mode,
            failure_policy: if audit { FailurePolicy::Open } else { policy.failure_policy },
            min_tokens: policy.min_tokens.max(1) as usize,
            window: policy.window.filter(|window| window.is_valid()),
            sampling: policy.sampling,
            record_conversations: policy.record_conversations,
            refused,
            unresolved: None,
        });
    }

    /// Adds a rule of the policy that is about to be added.
    fn add_rule(&mut self, rule: &TraitRule, audit: bool) -> Result<(), Refusal> {
        let vector = self.measure(&rule.vector)?;
        let action = if audit { Action::Audit } else { rule.action };
        match (action, &rule.steer, &rule.cap) {
            (Action::Steer, Some(steering), _) => self.add_steering(vector, steering)?,
            (Action::Cap, _, Some(capping)) => self.add_caps(vector, capping)?,
            _ => {}
        }
        let redaction = rule.redaction.as_deref().filter(|_| action == Action::Redact);
        // A vector's own baseline is that of `ResponseAvg` only.
        let vector_baseline = self.plan.vectors[vector].baseline;
        let vector_baseline = vector_baseline.filter(|_| rule.score == Score::ResponseAvg);
        self.plan.rules.push(Rule {
            policy: self.plan.policies.len(),
            vector,
            score: rule.score,
            bounds: rule.bounds,
            action,
            declared_action: action,
            redaction: redaction.map(Arc::from),
            regenerate: rule.regenerate.filter(|_| action == Action::Regenerate),
            requests: rule.requests.clone(),
            calibrates: rule.calibrates.clone(),
            baseline: rule.baseline.or(vector_baseline),
        });
        Ok(())
    }

    fn add_steering(&mut self, vector: usize, steering: &Steering) -> Result<(), Refusal> {
        let at = steering.at.iter().map(|name| self.direction(name));
        let at = at.collect::<Result<Vec<_>, _>>()?;
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
        self.plan.coherence = Some(coherence.strictest(steering.coherence));
        Ok(())
    }

    fn add_caps(&mut self, vector: usize, capping: &Capping) -> Result<(), Refusal> {
        let positions = capping.positions;
        let further = capping.at.iter().map(|cap| {
            let at = Some(self.direction(&cap.vector)?);
            Ok(PlannedCap { vector, at, floor: cap.floor, ceiling: cap.ceiling, positions })
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
        known.positions = known.positions.union(new.positions);
        known.gate = known.gate.filter(|_| new.gate.is_some());
        if new.coefficient.abs() > known.coefficient.abs() {
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
            baseline: vector.baseline,
        };
        self.plan.vectors.push(measured);
        Ok(self.plan.vectors.len() - 1)
    }

    fn direction(&self, name: &str) -> Result<Direction, Refusal> {
        let (vector, values) = self.vector(name)?;
        let values = Arc::clone(values);
        Ok(Direction { name: name.to_owned(), layer: vector.layer, values })
    }

    /// A vector that fits the model, with its values.
    fn vector(&self, name: &str) -> Result<(&Vector, &Arc<[f32]>), Refusal> {
        let missing = || Refusal::VectorMissing { vector: name.to_owned() };
        let vector = self.set.vectors.get(name).ok_or_else(missing)?;
        Ok((vector, vector.values_for(name, self.model)?))
    }
}
