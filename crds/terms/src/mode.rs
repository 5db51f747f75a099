//! How a policy is applied, and where a model runs.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Whether a policy acts.
#[derive(JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mode {
    /// Measure and record only; no byte of a response changes.
    Audit,
    /// Take each trait's action.
    Enforce,
}

/// What happens to requests and responses that cannot be read, and so not be scored, whatever state
/// the sidecar is in: an image, an unknown API, a prompt longer than the model's context.
#[derive(JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum UnscorableRequests {
    /// They are refused.
    Refuse,
    /// They pass unguarded, and are counted.
    Pass,
}

/// What happens to traffic that cannot be scored because of a fault: no model, no time, no room.
#[derive(
    JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize,
)]
pub enum FailurePolicy {
    /// It passes unguarded, and is counted.
    #[default]
    Open,
    /// It is refused.
    Closed,
}

/// The score that is compared with a threshold.
#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Score {
    /// Mean projection over the response tokens.
    #[default]
    ResponseAvg,
    /// Projection at the last prompt token, known before the first token is generated.
    PromptLast,
    /// Mean projection over the tokens of the answer, without those of the reasoning before it.
    AnswerAvg,
    /// Mean projection over the tokens of the reasoning.
    ReasoningAvg,
}

impl Score {
    /// Whether it is one of response tokens: of all, or of those of one section.
    #[must_use]
    pub fn is_of_response(self) -> bool {
        self != Self::PromptLast
    }

    /// What most policies compare.
    #[must_use]
    #[allow(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// The name, as policies give it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::ResponseAvg => "ResponseAvg",
            Self::PromptLast => "PromptLast",
            Self::AnswerAvg => "AnswerAvg",
            Self::ReasoningAvg => "ReasoningAvg",
        }
    }
}

/// Device on which a model runs.
#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Device {
    /// The node's processor.
    #[default]
    Cpu,
    /// An NVIDIA GPU; needs an image built with the `cuda` feature.
    Cuda,
}

impl Device {
    /// The default.
    #[must_use]
    #[allow(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
    pub fn is_cpu(&self) -> bool {
        *self == Self::Cpu
    }
}
