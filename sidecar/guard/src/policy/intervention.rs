//! How a policy changes the residual stream.

use serde::{Deserialize, Serialize};

/// Steering coefficients lie within ±this.
pub const MAX_COEFFICIENT: f64 = 4.0;

/// How to steer: h ← h + α·v after the vector's layer.
#[derive(Clone, Debug, PartialEq)]
pub struct Steering {
    /// α, of the raw vector.
    pub coefficient: f64,
    /// Token positions to steer at.
    pub positions: Positions,
    /// Names of the vectors to add, in place of the trait's own; empty: the trait's own.
    pub at: Vec<String>,
    /// Steer only while this holds.
    pub when: Option<SteeringCondition>,
    /// When a steered response counts as incoherent.
    pub coherence: Coherence,
}

/// When to steer: while a projection is above a bound.
#[derive(Clone, Debug, PartialEq)]
pub struct SteeringCondition {
    /// Name of the vector whose projection decides; `None`: the trait's own.
    pub vector: Option<String>,
    /// Where the projection is read.
    pub at: ConditionAt,
    /// The condition begins to hold above this.
    pub above: f64,
    /// And ends when the projection is no longer above this; `None`: the same bound.
    pub until: Option<f64>,
}

/// Where the projection of a condition is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ConditionAt {
    /// At the last prompt token, for the whole response.
    PromptLast,
    /// At each response token, for that token.
    Token,
}

/// Token positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Positions {
    /// Response tokens.
    Response,
    /// Prompt tokens.
    Prompt,
    /// Both.
    All,
}

impl Positions {
    /// The positions of both.
    pub(crate) fn union(self, other: Self) -> Self {
        if self == other { self } else { Self::All }
    }
}

/// When a steered response counts as incoherent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Coherence {
    /// Lowest mean log-likelihood of its tokens under the unsteered model, in nats per token.
    pub min_log_likelihood: f64,
    /// Largest share of its sequences of four tokens that are repetitions, 0 to 1.
    pub max_repetition: f64,
    /// Whether steering is then reduced; otherwise incoherent responses are only counted.
    pub back_off: bool,
}

impl Coherence {
    /// The stricter limits of both.
    pub(crate) fn strictest(self, other: Self) -> Self {
        Self {
            min_log_likelihood: self.min_log_likelihood.max(other.min_log_likelihood),
            max_repetition: self.max_repetition.min(other.max_repetition),
            back_off: self.back_off || other.back_off,
        }
    }
}

/// Where to cap the projection on the trait's vector.
#[derive(Clone, Debug, PartialEq)]
pub struct Capping {
    /// Lowest projection at the vector's layer.
    pub floor: Option<f64>,
    /// Highest projection at the vector's layer.
    pub ceiling: Option<f64>,
    /// Token positions to cap at.
    pub positions: Positions,
    /// Bounds at further layers.
    pub at: Vec<CapAt>,
}

/// Bounds on the projection at a further layer.
#[derive(Clone, Debug, PartialEq)]
pub struct CapAt {
    /// Name of the vector at that layer.
    pub vector: String,
    /// Lowest projection.
    pub floor: Option<f64>,
    /// Highest projection.
    pub ceiling: Option<f64>,
}

/// How to write a breaching response again.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Regeneration {
    /// Further attempts at most.
    pub attempts: u32,
    /// Steering coefficient of the first further attempt; the second is steered twice as far, and
    /// so on.
    pub coefficient: f64,
}
