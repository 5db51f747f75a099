//! Policies, their traits and their vectors, as a plan holds them.

use crate::bounds::Bounds;
use crate::unscored::UnscoredReason;
use personaguard_terms::{
    Action, ActionKind, Digest, EvidenceWindow, FailurePolicy, Layer, Mode, RequestBounds,
    Sampling, Score, UnscorableRequests,
};
use personaguard_wire::{Baseline, Failure, RefusedTrait};
use std::sync::Arc;

/// A policy that guards this pod.
#[derive(Clone, Debug, PartialEq)]
pub struct PlannedPolicy {
    /// Name.
    pub name: String,
    /// UID; empty without a cluster.
    pub uid: String,
    /// Generation.
    pub generation: i64,
    /// Digest of everything it resolves to.
    pub digest: Option<Digest>,
    /// Whether it acts.
    pub mode: Mode,
    /// What happens to traffic that cannot be scored because of a fault. Always `Open` in mode
    /// `Audit`, which changes nothing.
    pub failure_policy: FailurePolicy,
    /// What happens to what cannot be read. Always `Pass` in mode `Audit`.
    pub unscorable_requests: UnscorableRequests,
    /// Response tokens before the running mean first decides, at least 1.
    pub min_tokens: usize,
    /// Evidence by single tokens, in place of the running mean.
    pub window: Option<EvidenceWindow>,
    /// Which responses it looks at; `None`: all of them.
    pub sampling: Option<Sampling>,
    /// Whether conversations may be written to the conversation log.
    pub record_conversations: bool,
    /// Traits that are not enforced.
    pub refused: Vec<RefusedTrait>,
    /// If nothing of the policy can be enforced: why.
    pub unresolved: Option<Failure>,
}

impl PlannedPolicy {
    /// Whether it refuses what cannot be scored for this reason.
    #[must_use]
    pub fn refuses(&self, reason: UnscoredReason) -> bool {
        if reason.is_unscorable() {
            self.unscorable_requests == UnscorableRequests::Refuse
        } else {
            self.failure_policy == FailurePolicy::Closed
        }
    }

    /// Why it is not enforced in full, if it is not.
    #[must_use]
    pub fn unenforced(&self) -> Option<UnscoredReason> {
        match &self.unresolved {
            Some(_) => Some(UnscoredReason::PolicyUnresolved),
            None => (!self.refused.is_empty()).then_some(UnscoredReason::VectorRefused),
        }
    }
}

/// A vector that is measured.
#[derive(Clone, Debug, PartialEq)]
pub struct MeasuredVector {
    /// Name.
    pub name: String,
    /// The trait.
    pub trait_name: String,
    /// The layer, 1-based.
    pub layer: Layer,
    /// SHA-256 of the values.
    pub sha256: Digest,
    /// Raw values, shape `[hidden]`, finite and not all zero.
    pub values: Arc<[f32]>,
    /// What benign responses score by `ResponseAvg`.
    pub baseline: Option<Baseline>,
}

/// One trait of one policy.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// Index in [`policies`](super::Plan::policies).
    pub policy: usize,
    /// Index in [`vectors`](super::Plan::vectors).
    pub vector: usize,
    /// The score that is compared.
    pub score: Score,
    /// Past these the trait is breached.
    pub bounds: Bounds,
    /// What to do: `Audit` if that is the policy's mode, and more than the policy says if the
    /// request asked for it.
    pub action: Action,
    /// The action that the policy says, whatever its mode and the request's overrides: statistics
    /// are kept by it.
    pub declared_action: ActionKind,
    /// What a request may ask for.
    pub requests: Option<RequestBounds>,
    /// While a calibration is collected from the scores: the digest that they are reported under.
    pub calibrates: Option<Digest>,
    /// What drift of the scores is measured against.
    pub baseline: Option<Baseline>,
}
