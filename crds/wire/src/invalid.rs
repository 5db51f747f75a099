//! Why something that was received is rejected.

use crate::limits::{MAX_COUNT, MAX_POLICIES, MAX_SAMPLES, MAX_SYSTEM_PROMPTS, MAX_TRAITS};

/// What a sidecar never sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// `instance` is no id.
    #[error("instance must be 1 to 64 letters, digits, `-`, `_` or `.`")]
    Instance,
    /// Too many policies or traits.
    #[error("at most {MAX_POLICIES} policies and {MAX_TRAITS} traits are accepted")]
    TooManyEntries,
    /// A policy, or a trait of a policy, is there twice.
    #[error("each policy, and each vector of a policy, is accepted once")]
    Repeated,
    /// `sequence`, or a count of `totals` or `connections`.
    #[error("sequence, totals and connections must be at most {MAX_COUNT}")]
    Count,
    /// Too many traits with a sample.
    #[error("at most {MAX_SAMPLES} traits with a sample are accepted")]
    TooManySamples,
    /// `model.name` or `configError` is too long.
    #[error("model.name or configError is too long")]
    TooLong,
    /// `model.failure` is too long.
    #[error("model.failure is too long")]
    Failure,
    /// The position of the audit log.
    #[error("auditLog has a head that does not come after what was opened")]
    AuditLog,
    /// An entry of `policies`.
    #[error(
        "an entry of policies has a name, uid, generation or refusal that is empty, too long or \
         not a name"
    )]
    Policy,
    /// An entry of `traits` names no policy or no vector.
    #[error("an entry of traits has a policy or vector that is not a name")]
    TraitName,
    /// An entry of `traits` has a count or a score out of range.
    #[error("an entry of traits has a count or a score that is not a number, or far too large")]
    Score,
    /// A `lastBreach`.
    #[error(
        "a lastBreach has a responseId that is not an id, or a score that is not a number, or far \
         too large"
    )]
    Breach,
    /// The sketch of a sample.
    #[error("a sketch has too many centroids, is out of order, or has a number out of range")]
    Sketch,
    /// The system prompts of a sample.
    #[error(
        "the system prompts of a sample must be at most {MAX_SYSTEM_PROMPTS} hashes or `none`, \
         sorted"
    )]
    SystemPrompts,
}
