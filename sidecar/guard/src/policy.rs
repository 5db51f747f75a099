//! What is to be enforced, resolved: thresholds are raw projections, and vectors go by name.

mod action;
mod intervention;
mod request_bounds;

pub use action::Action;
pub use intervention::{
    CapAt, Capping, Coherence, ConditionAt, MAX_COEFFICIENT, Positions, Regeneration, Steering,
    SteeringCondition,
};
pub use request_bounds::RequestBounds;

use crate::bounds::Bounds;
use crate::vector::{Baseline, Vector};
use serde::Serialize;
use std::collections::BTreeMap;

/// The policies that guard a pod, and the vectors that they use.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PolicySet {
    /// Policies that can be enforced.
    pub policies: Vec<Policy>,
    /// Policies that should be enforced and cannot.
    pub unresolved: Vec<UnresolvedPolicy>,
    /// Vectors by name.
    pub vectors: BTreeMap<String, Vector>,
}

/// A policy.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// Name.
    pub name: String,
    /// Generation.
    pub generation: i64,
    /// Digest of everything it resolves to.
    pub digest: Option<String>,
    /// Whether it acts.
    pub mode: Mode,
    /// What happens to traffic that cannot be scored.
    pub failure_policy: FailurePolicy,
    /// Response tokens before the running mean first decides.
    pub min_tokens: u32,
    /// Evidence by single tokens, in place of the running mean.
    pub window: Option<EvidenceWindow>,
    /// Which responses it looks at; `None`: all of them.
    pub sampling: Option<Sampling>,
    /// Whether conversations may be written to the conversation log.
    pub record_conversations: bool,
    /// Its traits.
    pub traits: Vec<TraitRule>,
}

/// A policy in mode `Enforce` of which nothing can be enforced.
#[derive(Clone, Debug, PartialEq)]
pub struct UnresolvedPolicy {
    /// Name.
    pub name: String,
    /// What happens to the traffic that it should guard.
    pub failure_policy: FailurePolicy,
    /// Why it is not enforced.
    pub why: Unresolved,
}

/// Why a policy was never resolved, in the words of whoever tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unresolved {
    /// A reason in CamelCase.
    pub reason: String,
    /// A sentence that says what to do.
    pub message: String,
}

/// One trait of a policy.
#[derive(Clone, Debug, PartialEq)]
pub struct TraitRule {
    /// Name of the vector.
    pub vector: String,
    /// The score that is compared.
    pub score: Score,
    /// Past these the trait is breached.
    pub bounds: Bounds,
    /// What to do.
    pub action: Action,
    /// With `Steer`: how.
    pub steer: Option<Steering>,
    /// With `Cap`: where.
    pub cap: Option<Capping>,
    /// With `Regenerate`: how to try again.
    pub regenerate: Option<Regeneration>,
    /// With `Redact`: what to say instead.
    pub redaction: Option<String>,
    /// What a request may ask for.
    pub requests: Option<RequestBounds>,
    /// While a calibration is collected from the trait's scores: the digest that they are reported
    /// under.
    pub calibrates: Option<String>,
    /// What drift is measured against, in place of the vector's baseline.
    pub baseline: Option<Baseline>,
}

/// Whether a policy acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Mode {
    /// Measure and record only.
    Audit,
    /// Take each trait's action.
    Enforce,
}

/// What happens to traffic that cannot be scored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum FailurePolicy {
    /// It passes unguarded, and is counted.
    #[default]
    Open,
    /// It is refused.
    Closed,
}

/// The score that is compared with a threshold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Score {
    /// Mean projection over the response tokens.
    ResponseAvg,
    /// Projection at the last prompt token, known before the first token is written.
    PromptLast,
}

/// A breach is `past` of the last `of_last` tokens past the threshold, each by its own projection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EvidenceWindow {
    /// Tokens past the threshold, at least 1.
    pub past: u32,
    /// Among this many last tokens, at most 64.
    pub of_last: u32,
}

impl EvidenceWindow {
    /// Whether it can ever be full.
    pub(crate) fn is_valid(self) -> bool {
        (1..=self.of_last).contains(&self.past)
    }
}

/// Which responses a policy looks at.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampling {
    /// This fraction of them, drawn by chance.
    pub fraction: Option<f64>,
    /// The first one, and every n-th after it.
    pub every: Option<u32>,
}
