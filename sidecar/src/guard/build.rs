//! From a config and the facts of the loaded model to a plan.

use super::plan::{Bounds, Cap, ModelFacts, Plan, PlannedPolicy, Rule, Steer, Tap, Vectors, When};
use personaguard_crds::conditions::reason;
use personaguard_crds::guard_config::{GuardConfig, ResolvedPolicy, ResolvedTrait, ResolvedVector, UnresolvedPolicy};
use personaguard_crds::wire::{Failure, RefusedTrait};
use personaguard_crds::{Action, Coefficient, FailurePolicy, Mode, Positions, Steering};
use std::sync::Arc;

impl Plan {
    /// Makes the plan of the policies in `config` for a model with these facts. A trait whose vector does not fit is
    /// refused, never served.
    #[must_use]
    pub fn new(config: &GuardConfig, vectors: &Vectors, facts: &ModelFacts) -> Self {
        let mut builder =
            Builder { plan: Self { model: Some(facts.digest.clone()), ..Self::default() }, config, vectors, facts };
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
            window: policy.evidence.window.filter(|window| (1..=window.of_last).contains(&window.past)),
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
            let when = self.when(tap, steer)?;
            self.steer(Steer { tap, coefficient: steer.coefficient, positions: steer.positions, when });
        }
        if let (false, Action::Cap, Some(cap)) = (audit, rule.action, rule.cap) {
            self.cap(Cap { tap, floor: cap.floor, ceiling: cap.ceiling, positions: cap.positions });
        }
        let of = |action| !audit && rule.action == action;
        self.plan.rules.push(Rule {
            policy: self.plan.policies.len(),
            tap,
            score: rule.score,
            bounds: Bounds { min: rule.min, max: rule.max },
            action: if audit { Action::Audit } else { rule.action },
            declared: if audit { Action::Audit } else { rule.action },
            redaction: rule.redact.as_ref().filter(|_| of(Action::Redact)).map(|redact| redact.text.as_str().into()),
            regenerate: rule.regenerate.filter(|_| of(Action::Regenerate)),
            requests: rule.requests,
        });
        Ok(())
    }

    /// What decides about steering along a tap; it must be read before it is needed.
    fn when(&mut self, tap: usize, steer: &Steering) -> Result<Option<When>, Failure> {
        let Some(when) = &steer.when else { return Ok(None) };
        let read = when.vector.as_deref().map_or(Ok(tap), |vector| self.tap(vector))?;
        if self.plan.taps[read].layer > self.plan.taps[tap].layer {
            let message = "the vector that decides about steering is read after the layer that is steered";
            return Err(failure(reason::ACTION_INCOMPLETE, message.to_owned()));
        }
        let until = when.until.unwrap_or(when.above).min(when.above);
        Ok(Some(When { tap: read, at: when.at, above: when.above, until }))
    }

    /// The same steering in two policies is one steering, at the positions of both. Coefficients that differ are refused
    /// at apply; should they get this far, the stronger one stands, and an unconditional one before a conditional one.
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

    /// Two caps on a vector are one, the narrower of both. Caps that leave no room are refused at apply; should they get
    /// this far, the ceiling stands.
    fn cap(&mut self, new: Cap) {
        let cap = match self.plan.caps.iter_mut().find(|cap| cap.tap == new.tap) {
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
        let resolved = self.config.vectors.get(name).ok_or_else(|| {
            let message = format!("vector `{name}` is not in the config: let the operator write it anew");
            failure(reason::VECTOR_NOT_FOUND, message)
        })?;
        let values = match self.vectors.get(name) {
            Some(Ok(values)) => values,
            Some(Err(failure)) => return Err(failure.clone()),
            None => {
                let message =
                    format!("the vector file of the config folder lacks `{name}`: let the operator write it anew");
                return Err(failure(reason::ARTIFACT_NOT_FOUND, message));
            }
        };
        check(name, resolved, values, self.facts)?;
        self.plan.taps.push(Tap {
            vector: name.to_owned(),
            trait_name: resolved.trait_name.clone(),
            layer: resolved.layer,
            sha256: resolved.sha256.clone(),
            values: Arc::clone(values),
            calm: resolved.calm,
        });
        Ok(self.plan.taps.len() - 1)
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
fn check(name: &str, resolved: &ResolvedVector, values: &[f32], facts: &ModelFacts) -> Result<(), Failure> {
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
        let message = format!("vector `{name}` is zero, not finite or absurdly long: extract it again");
        return Err(failure(reason::ARTIFACT_INVALID, message));
    }
    Ok(())
}

fn failure(reason: &str, message: String) -> Failure {
    Failure { reason: reason.to_owned(), message }
}
