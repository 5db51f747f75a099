//! Why a response was not scored.

/// Why a response, or a part of it, was not scored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnscoredReason {
    /// A vector of the policy is refused, for example because it was made for another model.
    VectorRefused,
    /// A policy that selects this pod was never resolved, for example because one of its vectors
    /// does not exist.
    PolicyUnresolved,
    /// A projection is not a finite number.
    NotFinite,
    /// The engine returned no projection for a vector.
    MissingProjection,
    /// No model is loaded that could score.
    ModelNotReady,
    /// Too many responses are waiting to be scored.
    QueueFull,
    /// Scoring took too long.
    Deadline,
    /// Prompt and response do not fit in the model's context.
    TooLong,
    /// The engine failed or was stopped.
    EngineFailed,
    /// It contains something that cannot be read as text: an image, or an unknown format.
    NotUnderstood,
}

impl UnscoredReason {
    /// Whether it lies in the request or the response, and not in a fault of the sidecar: no other
    /// sidecar with this model could score it either.
    #[must_use]
    pub fn is_unscorable(self) -> bool {
        matches!(self, Self::TooLong | Self::NotUnderstood)
    }

    /// Every reason.
    pub const ALL: [Self; 10] = [
        Self::VectorRefused,
        Self::PolicyUnresolved,
        Self::NotFinite,
        Self::MissingProjection,
        Self::ModelNotReady,
        Self::QueueFull,
        Self::Deadline,
        Self::TooLong,
        Self::EngineFailed,
        Self::NotUnderstood,
    ];

    /// The name in metrics, logs and API errors.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::VectorRefused => "vector_refused",
            Self::PolicyUnresolved => "policy_unresolved",
            Self::NotFinite => "not_finite",
            Self::MissingProjection => "missing_projection",
            Self::ModelNotReady => "model_not_ready",
            Self::QueueFull => "queue_full",
            Self::Deadline => "deadline",
            Self::TooLong => "too_long",
            Self::EngineFailed => "engine_failed",
            Self::NotUnderstood => "not_understood",
        }
    }
}
