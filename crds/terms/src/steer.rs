//! Action `Steer`.

use crate::quantity::{Coefficient, Layer};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// How to steer: h ← h + α·v after the vector's layer.
#[derive(JsonSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[schemars(extend("x-kubernetes-validations" = [
    {
        "rule": "!has(self.when) || self.positions == 'Response'",
        "message": "steer.when goes with positions Response: whether to steer is known only at the \
                    end of the prompt"
    },
]))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Steering {
    /// Coefficient α of the raw vector, −4 to 4. Negative steers away from the trait; −1 to −1.5 is
    /// usual.
    pub coefficient: Coefficient,
    /// Token positions that are steered: `Response`, `Prompt` or `All`.
    #[serde(default)]
    pub positions: Positions,
    /// Layers to steer at in place of the vector's own, at most 64. At each, what that layer adds
    /// to the vector is added: h ← h + α·(v_ℓ − v_{ℓ−1}).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    pub layers: Vec<Layer>,
    /// Steer only while this holds. Default: always. An answer for which it never holds is, byte
    /// for byte, the answer without steering.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub when: Option<SteeringCondition>,
    /// When a steered answer counts as incoherent, and whether to back off.
    #[serde(default)]
    pub coherence: Coherence,
}

impl Steering {
    pub(crate) fn check(&self) -> Result<(), &'static str> {
        each_once(self.layers.iter().copied())
    }
}

/// Whether no layer is there twice.
pub(crate) fn each_once(layers: impl Iterator<Item = Layer>) -> Result<(), &'static str> {
    let mut seen = BTreeSet::new();
    let mut layers = layers;
    if layers.all(|layer| seen.insert(layer)) {
        Ok(())
    } else {
        Err("give each of its layers once")
    }
}

/// When a steered answer counts as incoherent. The sidecar then steers half as far, a quarter as
/// far, or not at all, until answers have been coherent for a while.
#[derive(JsonSchema, Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Coherence {
    /// Lowest mean log-likelihood of an answer's tokens under the unsteered model, in nats per
    /// token, −50 to 0.
    #[schemars(range(min = -50, max = 0))]
    pub min_log_likelihood: f64,
    /// Highest share of an answer's 4-grams that occurred in it before, 0 to 1.
    #[schemars(range(min = 0, max = 1))]
    pub max_repetition: f64,
    /// Whether to back off. Otherwise incoherent answers are only counted.
    pub back_off: bool,
}

impl Default for Coherence {
    fn default() -> Self {
        Self { min_log_likelihood: -4.0, max_repetition: 0.5, back_off: true }
    }
}

/// When to steer: while a projection is above a bound.
#[derive(JsonSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[schemars(extend("x-kubernetes-validations" = [
    {
        "rule": "!has(self.until) || self.until <= self.above",
        "message": "when.until must not be above when.above"
    },
    {
        "rule": "!has(self.until) || self.at == 'Token'",
        "message": "when.until goes with at Token"
    },
]))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SteeringCondition {
    /// Name of the `PersonaVector` whose projection decides: one of the policy's traits, at a layer
    /// not above the steered one. Default: the trait's own vector.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub vector: Option<String>,
    /// Where the projection is read. `PromptLast`: at the last prompt token, for the whole answer.
    /// `Token`: at each token of the answer, for that token.
    #[serde(default)]
    pub at: ConditionAt,
    /// Steer while the projection is above this, in units of the model's activations.
    pub above: f64,
    /// With `Token`: once steering has begun, continue until the projection is no longer above
    /// this. Default: `above`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<f64>,
}

/// Where the projection of a condition is read.
#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ConditionAt {
    /// At the last prompt token.
    #[default]
    PromptLast,
    /// At each token of the answer.
    Token,
}

/// Token positions.
#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Positions {
    /// The tokens of the answer.
    #[default]
    Response,
    /// The tokens of the prompt.
    Prompt,
    /// Both.
    All,
}
