//! From a config and the facts of the loaded model to a plan.

use super::plan::{
    Bounds, Cap, Direction, ModelFacts, Plan, PlannedPolicy, Rule, Steer, Tap, Vectors, When,
};
use personaguard_terms::conditions::reason;
use personaguard_terms::{
    Action, Capping, Coefficient, Coherence, FailurePolicy, Mode, Positions, Score, Steering,
};
use personaguard_wire::{
    Failure, GuardConfig, Part, RefusedTrait, ResolvedPolicy, ResolvedTrait, ResolvedVector,
    UnresolvedPolicy,
};
use std::sync::Arc;

/// Changes of the residual stream in one plan at most; the engine takes twice as many.
const MAX_CHANGES: usize = 128;

impl Plan {
    /// Makes the plan of the policies in `config` for a model with these facts. A trait whose
    /// vector does not fit is refused, never served.
    #[must_use]
    pub fn new(config: &GuardConfig, vectors: &Vectors, facts: &ModelFacts) -> Self {
        let mut builder = Builder {
            plan: Self { model: Some(facts.digest.clone()), ..Self::default() },
            config,
            vectors,
            facts,
        };
        config.policies.iter().for_each(|policy| builder.add(policy));
        let mut plan = builder.plan;
        plan.policies.extend(config.unresolved.iter().map(unresolved));
        plan
    }
}

struct Builder<'a> {
    plan: Plan,
    config: &'a GuardConfig,
    vectors: &'a Vectors,
    facts: &'a ModelFacts,
}

impl Builder<'_> {
    fn add(&mut self, policy: &ResolvedPolicy) {
        let audit = policy.mode == Mode::Audit;
        let mut refused = Vec::new();
        for rule in &policy.traits {
            if let Err(failure) = self.rule(rule, audit) {
                refused.push(RefusedTrait { vector: rule.vector.clone(), failure });
            }
        }
        self.plan.policies.push(PlannedPolicy {
            name: policy.name.clone(),
            uid: policy.uid.clone(),
            generation: policy.generation,
            digest: policy.digest.clone(),
            mode: policy.mode,
            failure_policy: if audit { FailurePolicy::Open } else { policy.failure_policy },
            min_tokens: policy.evidence.min_tokens.max(1) as usize,
            window: policy
                .evidence
                .window
                .filter(|window| (1..=window.of_last).contains(&window.past)),
            sampling: policy.sampling,
            records: policy.record_conversations,
            refused,
            unresolved: None,
        });
    }

    /// A rule of the policy that is added next.
    fn rule(&mut self, rule: &ResolvedTrait, audit: bool) -> Result<(), Failure> {
        let tap = self.tap(&rule.vector)?;
        if let (false, Action::Steer, Some(steer)) = (audit, rule.action, &rule.steer) {
            self.steering(tap, rule, steer)?;
        }
        if let (false, Action::Cap, Some(cap)) = (audit, rule.action, &rule.cap) {
            self.caps(tap, rule, cap)?;
        }
        let of = |action| !audit && rule.action == action;
        self.plan.rules.push(Rule {
            policy: self.plan.policies.len(),
            tap,
            score: rule.score,
            bounds: Bounds { min: rule.min, max: rule.max },
            action: if audit { Action::Audit } else { rule.action },
            declared: if audit { Action::Audit } else { rule.action },
            redaction: rule
                .redact
                .as_ref()
                .filter(|_| of(Action::Redact))
                .map(|redact| redact.text.as_str().into()),
            regenerate: rule.regenerate.filter(|_| of(Action::Regenerate)),
            requests: rule.requests,
            calibrates: rule.calibrates.clone(),
            // What benign answers score by a vector's own calibration is known of this score only.
            calm: rule
                .calm
                .or(self.plan.taps[tap].calm.filter(|_| rule.score == Score::ResponseAvg)),
        });
        Ok(())
    }

    fn steering(
        &mut self,
        tap: usize,
        rule: &ResolvedTrait,
        steer: &Steering,
    ) -> Result<(), Failure> {
        let increments = steer
            .layers
            .iter()
            .map(|layer| self.direction(&Part::Increment(*layer).name(&rule.vector)));
        let at = increments.collect::<Result<Vec<_>, _>>()?;
        self.room(at.len())?;
        let when = self.when(tap, &at, steer)?;
        self.steer(Steer {
            tap,
            at,
            coefficient: steer.coefficient,
            positions: steer.positions,
            when,
        });
        let (strictest, own) = (self.plan.coherence.unwrap_or(steer.coherence), steer.coherence);
        self.plan.coherence = Some(Coherence {
            min_log_likelihood: strictest.min_log_likelihood.max(own.min_log_likelihood),
            max_repetition: strictest.max_repetition.min(own.max_repetition),
            back_off: strictest.back_off || own.back_off,
        });
        Ok(())
    }

    fn caps(&mut self, tap: usize, rule: &ResolvedTrait, cap: &Capping) -> Result<(), Failure> {
        let further = cap.layers.iter().map(|bounds| {
            Ok((self.direction(&Part::At(bounds.layer).name(&rule.vector))?, *bounds))
        });
        let further = further.collect::<Result<Vec<_>, Failure>>()?;
        self.room(further.len())?;
        if cap.floor.is_some() || cap.ceiling.is_some() {
            self.cap(Cap {
                tap,
                at: None,
                floor: cap.floor,
                ceiling: cap.ceiling,
                positions: cap.positions,
            });
        }
        for (at, bounds) in further {
            let (floor, ceiling) = (bounds.floor, bounds.ceiling);
            self.cap(Cap { tap, at: Some(at), floor, ceiling, positions: cap.positions });
        }
        Ok(())
    }

    /// The engine takes so many changes for one request.
    fn room(&self, further: usize) -> Result<(), Failure> {
        if self.plan.changes() + further < MAX_CHANGES {
            return Ok(());
        }
        let message = format!(
            "steering and caps come to more than {MAX_CHANGES} changes of the model: use fewer layers"
        );
        Err(failure(reason::ACTION_INCOMPLETE, message))
    }

    /// What decides about steering along a tap; it must be read before it is needed.
    fn when(
        &mut self,
        tap: usize,
        at: &[Direction],
        steer: &Steering,
    ) -> Result<Option<When>, Failure> {
        let Some(when) = &steer.when else { return Ok(None) };
        let read = when.vector.as_deref().map_or(Ok(tap), |vector| self.tap(vector))?;
        let lowest =
            at.iter().map(|direction| direction.layer).min().unwrap_or(self.plan.taps[tap].layer);
        if self.plan.taps[read].layer > lowest {
            let message =
                "the vector that decides about steering is read after the layer that is steered";
            return Err(failure(reason::ACTION_INCOMPLETE, message.to_owned()));
        }
        let until = when.until.unwrap_or(when.above).min(when.above);
        Ok(Some(When { tap: read, at: when.at, above: when.above, until }))
    }

    /// The same steering in two policies is one steering, at the positions of both. Coefficients
    /// that differ are refused at apply; should they get this far, the stronger one stands, and an
    /// unconditional one before a conditional one.
    fn steer(&mut self, new: Steer) {
        match self.plan.steering.iter_mut().find(|steer| steer.tap == new.tap) {
            None => self.plan.steering.push(new),
            Some(steer) => {
                steer.positions = both(steer.positions, new.positions);
                steer.when = steer.when.filter(|_| new.when.is_some());
                if new.coefficient.get().abs() > steer.coefficient.get().abs() {
                    steer.coefficient = new.coefficient;
                }
            }
        }
    }

    /// Two caps on a vector are one, the narrower of both. Caps that leave no room are refused at
    /// apply; should they get this far, the ceiling stands.
    fn cap(&mut self, new: Cap) {
        let layer = |cap: &Cap| cap.at.as_ref().map(|at| at.layer);
        let same = |cap: &&mut Cap| cap.tap == new.tap && layer(cap) == layer(&new);
        let cap = match self.plan.caps.iter_mut().find(same) {
            None => {
                self.plan.caps.push(new);
                return;
            }
            Some(cap) => cap,
        };
        cap.positions = both(cap.positions, new.positions);
        cap.ceiling = cap.ceiling.into_iter().chain(new.ceiling).reduce(f64::min);
        cap.floor = cap.floor.into_iter().chain(new.floor).reduce(f64::max);
        if let (Some(floor), Some(ceiling)) = (cap.floor, cap.ceiling) {
            cap.floor = Some(floor.min(ceiling));
        }
    }

    fn tap(&mut self, name: &str) -> Result<usize, Failure> {
        if let Some(index) = self.plan.taps.iter().position(|tap| tap.vector == name) {
            return Ok(index);
        }
        let (resolved, values) = self.vector(name)?;
        let tap = Tap {
            vector: name.to_owned(),
            trait_name: resolved.trait_name.clone(),
            layer: resolved.layer,
            sha256: resolved.sha256.clone(),
            values: Arc::clone(values),
            calm: resolved.calm,
        };
        self.plan.taps.push(tap);
        Ok(self.plan.taps.len() - 1)
    }

    fn direction(&self, name: &str) -> Result<Direction, Failure> {
        let (resolved, values) = self.vector(name)?;
        Ok(Direction { name: name.to_owned(), layer: resolved.layer, values: Arc::clone(values) })
    }

    /// A vector of the config that fits the model.
    fn vector(&self, name: &str) -> Result<(&ResolvedVector, &Arc<[f32]>), Failure> {
        let resolved = self.config.vectors.get(name).ok_or_else(|| {
            let message =
                format!("vector `{name}` is not in the config: let the operator write it anew");
            failure(reason::VECTOR_NOT_FOUND, message)
        })?;
        let values = match self.vectors.get(name) {
            Some(Ok(values)) => values,
            Some(Err(failure)) => return Err(failure.clone()),
            None => {
                let message = format!(
                    "the vector file of the config folder lacks `{name}`: let the operator write it anew"
                );
                return Err(failure(reason::ARTIFACT_NOT_FOUND, message));
            }
        };
        check(name, resolved, values, self.facts)?;
        Ok((resolved, values))
    }
}

fn both(a: Positions, b: Positions) -> Positions {
    if a == b { a } else { Positions::All }
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
        min_tokens: 1,
        window: None,
        sampling: None,
        records: false,
        refused: Vec::new(),
        unresolved: Some(policy.failure.clone()),
    }
}

/// A vector is bound to its model's digest, and must fit its shape.
fn check(
    name: &str,
    resolved: &ResolvedVector,
    values: &[f32],
    facts: &ModelFacts,
) -> Result<(), Failure> {
    if resolved.model_digest != facts.digest {
        let (theirs, ours) = (resolved.model_digest.short(), facts.digest.short());
        let message = format!(
            "vector `{name}` was made from weights {theirs}…, this sidecar serves {ours}…: extract it again from the weights that are served"
        );
        return Err(failure(reason::MODEL_MISMATCH, message));
    }
    if resolved.layer.0 > facts.layers {
        let message = format!(
            "vector `{name}` is for layer {}, the model has {}: choose a layer that it has",
            resolved.layer, facts.layers
        );
        return Err(failure(reason::LAYER_MISSING, message));
    }
    if values.len() != facts.hidden {
        let message = format!(
            "vector `{name}` has {} values, the model's layers have {}: it was made for another model",
            values.len(),
            facts.hidden
        );
        return Err(failure(reason::MODEL_MISMATCH, message));
    }
    let norm = values.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt();
    #[allow(clippy::cast_possible_truncation)]
    let steerable = values.iter().all(|v| (v * Coefficient::LIMIT as f32).is_finite());
    if !norm.is_finite() || norm == 0.0 || !steerable {
        let message =
            format!("vector `{name}` is zero, not finite or absurdly long: extract it again");
        return Err(failure(reason::ARTIFACT_INVALID, message));
    }
    Ok(())
}

fn failure(reason: &str, message: String) -> Failure {
    Failure { reason: reason.to_owned(), message }
}
