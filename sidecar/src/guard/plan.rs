//! What is measured and enforced on every response.

use personaguard_crds::conditions::reason;
use personaguard_crds::guard_config::{Calm, GuardConfig, ResolvedPolicy, ResolvedVector};
use personaguard_crds::wire::{Failure, PolicyAcknowledgement, RefusedTrait};
use personaguard_crds::{Action, Coefficient, Digest, FailurePolicy, Layer, Mode, Positions, Score};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Vectors of a config folder by `PersonaVector` name: raw values at the chosen layer, shape `[hidden]`, or why there
/// are none.
pub type Vectors = BTreeMap<String, Result<Arc<[f32]>, Failure>>;

/// What a vector must fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelFacts {
    /// SHA-256 of the weight file.
    pub digest: Digest,
    /// Number of blocks.
    pub layers: u32,
    /// Width of the residual stream.
    pub hidden: usize,
}

/// What is measured and enforced on every response: made once for a config and a model, and kept by each request until
/// it ends.
#[derive(Debug, Default)]
pub struct Plan {
    /// Policies that guard this pod.
    pub policies: Vec<PlannedPolicy>,
    /// Directions that are measured; projections come in this order.
    pub taps: Vec<Tap>,
    /// Traits of all policies.
    pub rules: Vec<Rule>,
    /// What is added to the residual stream.
    pub steering: Vec<Steer>,
}

/// A policy that guards this pod.
#[derive(Clone, Debug, PartialEq)]
pub struct PlannedPolicy {
    /// Name.
    pub name: String,
    /// UID; empty without a cluster.
    pub uid: String,
    /// Generation.
    pub generation: i64,
    /// Digest of all that it resolves to.
    pub digest: Option<Digest>,
    /// Whether it acts.
    pub mode: Mode,
    /// What happens to traffic that cannot be scored. A policy in mode `Audit` changes nothing, so it is always `Open`.
    pub failure_policy: FailurePolicy,
    /// Response tokens before the first decision, at least 1.
    pub min_tokens: usize,
    /// Traits that are not served.
    pub refused: Vec<RefusedTrait>,
}

/// A direction that is measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Tap {
    /// Name of the `PersonaVector`.
    pub vector: String,
    /// The trait.
    pub trait_name: String,
    /// Layer, 1-based.
    pub layer: Layer,
    /// Raw values, shape `[hidden]`, finite and not all zero.
    pub values: Arc<[f32]>,
    /// What benign answers score: what drift is measured against.
    pub calm: Option<Calm>,
}

/// One trait of one policy.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// Index in [`Plan::policies`].
    pub policy: usize,
    /// Index in [`Plan::taps`].
    pub tap: usize,
    /// The score that is compared.
    pub score: Score,
    /// Past these it is a breach.
    pub bounds: Bounds,
    /// What to do; `Audit` throughout where the policy's mode is.
    pub action: Action,
}

/// A steering intervention: h ← h + α·v at a tap's layer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Steer {
    /// Index in [`Plan::taps`].
    pub tap: usize,
    /// α, of the raw vector.
    pub coefficient: Coefficient,
    /// Token positions that are steered.
    pub positions: Positions,
}

/// Thresholds on a score, in units of the model's activations.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Bounds {
    /// Breached below this.
    pub min: Option<f64>,
    /// Breached above this.
    pub max: Option<f64>,
}

impl Bounds {
    /// The threshold that a score is past, if any. A score on the threshold is within.
    #[must_use]
    pub fn passed(&self, score: f64) -> Option<f64> {
        self.max.filter(|max| score > *max).or(self.min.filter(|min| score < *min))
    }
}

impl Plan {
    /// Makes the plan of the policies in `config` for a model with these facts. A trait whose vector does not fit is
    /// refused, never served.
    #[must_use]
    pub fn new(config: &GuardConfig, vectors: &Vectors, facts: &ModelFacts) -> Self {
        let mut plan = Self::default();
        for policy in &config.policies {
            plan.add(policy, config, vectors, facts);
        }
        plan
    }

    /// Whether tokens wait for their scores before they leave.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.rules.iter().any(|rule| {
            rule.action == Action::Block || self.policies[rule.policy].failure_policy == FailurePolicy::Closed
        })
    }

    /// What this pod acknowledges to enforce.
    #[must_use]
    pub fn acknowledgements(&self) -> Vec<PolicyAcknowledgement> {
        let acknowledge = |policy: &PlannedPolicy| PolicyAcknowledgement {
            name: policy.name.clone(),
            uid: policy.uid.clone(),
            generation: policy.generation,
            digest: policy.digest.clone(),
            refused: policy.refused.clone(),
        };
        self.policies.iter().map(acknowledge).collect()
    }

    fn add(&mut self, policy: &ResolvedPolicy, config: &GuardConfig, vectors: &Vectors, facts: &ModelFacts) {
        let audit = policy.mode == Mode::Audit;
        let mut refused = Vec::new();
        for rule in &policy.traits {
            let tap = match self.tap(&rule.vector, config, vectors, facts) {
                Ok(tap) => tap,
                Err(failure) => {
                    refused.push(RefusedTrait { vector: rule.vector.clone(), failure });
                    continue;
                }
            };
            if let (false, Action::Steer, Some(steer)) = (audit, rule.action, rule.steer) {
                self.steer(Steer { tap, coefficient: steer.coefficient, positions: steer.positions });
            }
            self.rules.push(Rule {
                policy: self.policies.len(),
                tap,
                score: rule.score,
                bounds: Bounds { min: rule.min, max: rule.max },
                action: if audit { Action::Audit } else { rule.action },
            });
        }
        self.policies.push(PlannedPolicy {
            name: policy.name.clone(),
            uid: policy.uid.clone(),
            generation: policy.generation,
            digest: policy.digest.clone(),
            mode: policy.mode,
            failure_policy: if audit { FailurePolicy::Open } else { policy.failure_policy },
            min_tokens: policy.evidence.min_tokens.max(1) as usize,
            refused,
        });
    }

    /// The same steering in two policies is one steering, at the positions of both. Coefficients that differ are refused
    /// at apply; should they get this far, the stronger one stands.
    fn steer(&mut self, new: Steer) {
        match self.steering.iter_mut().find(|steer| steer.tap == new.tap) {
            None => self.steering.push(new),
            Some(steer) => {
                if steer.positions != new.positions {
                    steer.positions = Positions::All;
                }
                if new.coefficient.get().abs() > steer.coefficient.get().abs() {
                    steer.coefficient = new.coefficient;
                }
            }
        }
    }

    fn tap(
        &mut self,
        name: &str,
        config: &GuardConfig,
        vectors: &Vectors,
        facts: &ModelFacts,
    ) -> Result<usize, Failure> {
        if let Some(index) = self.taps.iter().position(|tap| tap.vector == name) {
            return Ok(index);
        }
        let resolved = config.vectors.get(name).ok_or_else(|| {
            failure(
                reason::VECTOR_NOT_FOUND,
                format!("vector `{name}` is not in the config: let the operator write it anew"),
            )
        })?;
        let values = match vectors.get(name) {
            Some(Ok(values)) => values,
            Some(Err(failure)) => return Err(failure.clone()),
            None => {
                let message =
                    format!("the vector file of the config folder lacks `{name}`: let the operator write it anew");
                return Err(failure(reason::ARTIFACT_NOT_FOUND, message));
            }
        };
        check(name, resolved, values, facts)?;
        self.taps.push(Tap {
            vector: name.to_owned(),
            trait_name: resolved.trait_name.clone(),
            layer: resolved.layer,
            values: Arc::clone(values),
            calm: resolved.calm,
        });
        Ok(self.taps.len() - 1)
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
