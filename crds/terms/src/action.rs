//! What to do about a trait, and what callers may ask for.

use crate::quantity::Coefficient;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What to do about a trait, from the least to the most intrusive.
#[derive(
    JsonSchema, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub enum Action {
    /// Record the score.
    Audit,
    /// Record it, and notify people of a breach.
    Alert,
    /// Add the vector, times a coefficient, to the activations of every answer. Alert on a breach.
    Steer,
    /// Keep the projection of the activations between a floor and a ceiling. Alert on a breach.
    Cap,
    /// Generate an answer past its threshold again, steered, and send the one that scores best.
    Regenerate,
    /// Replace the first breaching sentence, and everything after it, by a fixed text.
    Redact,
    /// Stop an answer at the breach; what would have followed never leaves the sidecar.
    Block,
}

impl Action {
    /// Whether it leaves activations alone, so that it also works on the answers of another server.
    #[must_use]
    pub fn works_in_proxy(self) -> bool {
        matches!(self, Self::Audit | Self::Alert | Self::Redact | Self::Block)
    }

    /// Whether it holds tokens back until they are decided on.
    #[must_use]
    pub fn holds(self) -> bool {
        self >= Self::Regenerate
    }
}

/// How to generate an answer again.
#[derive(JsonSchema, Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Regeneration {
    /// Most further attempts, 1 to 4. Default: 2.
    #[serde(default = "default_attempts")]
    #[schemars(range(min = 1, max = 4))]
    pub attempts: u32,
    /// Steering coefficient of the first further attempt, −4 to 4. The second is steered twice as
    /// far, and so on, up to −4 or 4.
    pub coefficient: Coefficient,
}

fn default_attempts() -> u32 {
    2
}

/// What to say instead of a breaching sentence.
#[derive(JsonSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Redaction {
    /// Replaces the first breaching sentence and everything after it; at most 2000 characters.
    #[schemars(length(max = 2000))]
    pub text: String,
}

/// What callers may ask for, request by request: stricter enforcement, or a steering coefficient.
/// Never less than the policy.
#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct RequestBounds {
    /// Whether callers may have the trait blocked at its threshold.
    pub block: bool,
    /// Whether callers may set a stricter threshold than the policy's.
    pub threshold: bool,
    /// The range within which callers may set a steering coefficient in place of the policy's.
    /// Default: they may not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub coefficient: Option<CoefficientRange>,
}

/// A range of steering coefficients.
#[derive(JsonSchema, Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[schemars(extend("x-kubernetes-validations" = [
    {
        "rule": "self.min <= self.max",
        "message": "coefficient.min must not be above coefficient.max"
    },
]))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CoefficientRange {
    /// Lowest coefficient, −4 to 4.
    pub min: Coefficient,
    /// Highest coefficient, −4 to 4.
    pub max: Coefficient,
}
