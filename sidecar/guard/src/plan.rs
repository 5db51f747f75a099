//! What is measured and enforced on every response.

use super::{BackOff, Fault};
use personaguard_terms::{
    Action, Coefficient, Coherence, ConditionAt, Digest, EvidenceWindow, FailurePolicy, Layer,
    Mode, Positions, Regeneration, RequestBounds, Sampling, Score,
};
use personaguard_wire::{Calm, Failure, PolicyAcknowledgement, RefusedTrait};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Vectors of a config folder by `PersonaVector` name: raw values at the chosen layer, shape
/// `[hidden]`, or why there are none.
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

/// What is measured and enforced on every response: made once for a config and a model, and kept by
/// each request until it ends.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// SHA-256 of the weight file that it was made for.
    pub model: Option<Digest>,
    /// Policies that guard this pod.
    pub policies: Vec<PlannedPolicy>,
    /// Directions that are measured; projections come in this order.
    pub taps: Vec<Tap>,
    /// Traits of all policies.
    pub rules: Vec<Rule>,
    /// What is added to the residual stream.
    pub steering: Vec<Steer>,
    /// Bounds on projections, which hold after the steering of their layer.
    pub caps: Vec<Cap>,
    /// What steered answers must be like: the strictest of all policies that steer.
    pub coherence: Option<Coherence>,
    /// How far its steering is held back, see [`Plan::held_back`].
    pub level: u8,
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
    /// What happens to traffic that cannot be scored. A policy in mode `Audit` changes nothing, so
    /// it is always `Open`.
    pub failure_policy: FailurePolicy,
    /// Response tokens before the first decision, at least 1.
    pub min_tokens: usize,
    /// Evidence by single tokens, in place of the running mean.
    pub window: Option<EvidenceWindow>,
    /// Which responses it looks at; none: all of them.
    pub sampling: Option<Sampling>,
    /// Whether conversations may be written to the conversation log.
    pub records: bool,
    /// Traits that are not served.
    pub refused: Vec<RefusedTrait>,
    /// Why nothing of it is enforced, where nothing is.
    pub unresolved: Option<Failure>,
}

impl PlannedPolicy {
    /// Why it is not enforced, or not all of it.
    #[must_use]
    pub fn unenforced(&self) -> Option<Fault> {
        match &self.unresolved {
            Some(_) => Some(Fault::PolicyUnresolved),
            None => (!self.refused.is_empty()).then_some(Fault::VectorRefused),
        }
    }
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
    /// SHA-256 of the values.
    pub sha256: Digest,
    /// Raw values, shape `[hidden]`, finite and not all zero.
    pub values: Arc<[f32]>,
    /// What benign answers score by `ResponseAvg`.
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
    /// The same before a request asked for more: how it is counted.
    pub declared: Action,
    /// With `Redact`: what to say instead.
    pub redaction: Option<Arc<str>>,
    /// With `Regenerate`: how to try again.
    pub regenerate: Option<Regeneration>,
    /// What callers may ask for.
    pub requests: Option<RequestBounds>,
    /// While its scores are calibrated on: what they are of.
    pub calibrates: Option<Digest>,
    /// What drift of its scores is measured against.
    pub calm: Option<Calm>,
}

/// A direction in which the residual stream is changed, and which is not measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Direction {
    /// Name in the config: `evil/18-17`.
    pub name: String,
    /// Layer, 1-based.
    pub layer: Layer,
    /// Values, shape `[hidden]`, finite and not all zero.
    pub values: Arc<[f32]>,
}

/// A steering intervention: h ← h + α·v at a tap's layer, or by increments at several layers.
#[derive(Clone, Debug, PartialEq)]
pub struct Steer {
    /// Index in [`Plan::taps`].
    pub tap: usize,
    /// What is added at other layers than the tap's, in place of that; empty: at the tap's.
    pub at: Vec<Direction>,
    /// α, of the raw vector.
    pub coefficient: Coefficient,
    /// Token positions that are steered.
    pub positions: Positions,
    /// Steers only while this holds.
    pub when: Option<When>,
}

/// A condition on a projection.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct When {
    /// Index in [`Plan::taps`].
    pub tap: usize,
    /// Where the projection is read.
    pub at: ConditionAt,
    /// Holds above this.
    pub above: f64,
    /// Once it holds, it ends where the projection is no longer above this.
    pub until: f64,
}

/// A cap: the projection on a tap's vector, at its layer or another, stays between floor and
/// ceiling.
#[derive(Clone, Debug, PartialEq)]
pub struct Cap {
    /// Index in [`Plan::taps`].
    pub tap: usize,
    /// The vector at another layer than the tap's.
    pub at: Option<Direction>,
    /// Lowest projection.
    pub floor: Option<f64>,
    /// Highest projection, not below the floor.
    pub ceiling: Option<f64>,
    /// Token positions that are capped.
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

    /// How far a score is past the threshold; 0 where it is within.
    #[must_use]
    pub fn beyond(&self, score: f64) -> f64 {
        self.passed(score).map_or(0.0, |threshold| (score - threshold).abs())
    }
}

impl Plan {
    /// Whether tokens wait for their scores before they leave.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.rules.iter().any(|rule| {
            rule.action.holds()
                || self.policies[rule.policy].failure_policy == FailurePolicy::Closed
        })
    }

    /// Whether text leaves by whole sentences only.
    #[must_use]
    pub fn redacts(&self) -> bool {
        self.rules.iter().any(|rule| rule.action == Action::Redact)
    }

    /// Further attempts at a response, at most.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        self.rules
            .iter()
            .filter_map(|rule| rule.regenerate)
            .map(|again| again.attempts)
            .max()
            .unwrap_or(0)
    }

    /// This plan for a further attempt (1 is the first) at a response that breached: steered along
    /// each vector that was past its threshold, further with each attempt.
    #[must_use]
    pub fn retried(&self, breached: impl Fn(usize) -> bool, attempt: u32) -> Self {
        let mut plan = self.clone();
        for (_, rule) in self.rules.iter().enumerate().filter(|(index, _)| breached(*index)) {
            let Some(again) = rule.regenerate else { continue };
            let limit = Coefficient::LIMIT;
            let further = again.coefficient.get() * f64::from(attempt.min(again.attempts));
            // Within the limits by construction.
            let coefficient =
                Coefficient::try_from(further.clamp(-limit, limit)).unwrap_or(again.coefficient);
            let positions = Positions::Response;
            plan.steering.push(Steer {
                tap: rule.tap,
                at: Vec::new(),
                coefficient,
                positions,
                when: None,
            });
        }
        plan
    }

    /// This plan with its steering held back: half as far with each level, and not at all at
    /// [`BackOff::OFF`].
    #[must_use]
    pub fn held_back(&self, level: u8) -> Self {
        let mut plan = Self { level, ..self.clone() };
        if level >= BackOff::OFF {
            plan.steering.clear();
        }
        for steer in &mut plan.steering {
            // Nearer to 0, so within the limits.
            let less = Coefficient::try_from(steer.coefficient.get() * BackOff::scale(level));
            steer.coefficient = less.unwrap_or(steer.coefficient);
        }
        plan
    }

    /// Changes of the residual stream.
    #[must_use]
    pub fn changes(&self) -> usize {
        self.caps.len() + self.steering.iter().map(|steer| steer.at.len().max(1)).sum::<usize>()
    }

    /// Whether conversations may be written down.
    #[must_use]
    pub fn records(&self) -> bool {
        self.policies.iter().any(|policy| policy.records)
    }

    /// The same policies, measuring and enforcing nothing: for responses that none of them looks
    /// at.
    #[must_use]
    pub fn resting(&self) -> Self {
        Self { policies: self.policies.clone(), ..Self::default() }
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
        // Of what could not be resolved there is nothing to enforce.
        self.policies.iter().filter(|policy| policy.unresolved.is_none()).map(acknowledge).collect()
    }
}
