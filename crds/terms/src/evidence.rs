//! Which responses are scored, and how much evidence makes a breach.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How much evidence makes a breach while an answer is still being generated: the running mean past
/// the threshold, or enough of the last tokens.
#[derive(JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Evidence {
    /// Response tokens before the running mean is first compared, 1 to 256. A shorter answer is
    /// decided at its end. Actions that hold back (`Redact`, `Block`) hold back this many tokens.
    /// Without effect if `window` is given.
    #[schemars(range(min = 1, max = 256))]
    pub min_tokens: u32,
    /// Decide by single tokens instead of the running mean. Default: the running mean.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window: Option<EvidenceWindow>,
}

impl Default for Evidence {
    fn default() -> Self {
        Self { min_tokens: 8, window: None }
    }
}

/// A breach is when `past` of the last `ofLast` tokens are past the threshold, each by its own
/// projection.
#[derive(JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[schemars(extend("x-kubernetes-validations" = [
    {
        "rule": "self.past <= self.ofLast",
        "message": "window.past must not be above window.ofLast"
    },
]))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EvidenceWindow {
    /// Tokens past the threshold that make a breach, 1 to 64.
    #[schemars(range(min = 1, max = 64))]
    pub past: u32,
    /// How many of the last tokens are looked at, 1 to 64. With an action that holds back, a token
    /// past the threshold waits for this many.
    #[schemars(range(min = 1, max = 64))]
    pub of_last: u32,
}

/// Which responses are scored. Exactly one field.
#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[schemars(extend("x-kubernetes-validations" = [
    {
        "rule": "has(self.fraction) != has(self.every)",
        "message": "give exactly one of sampling.fraction and sampling.every"
    },
]))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Sampling {
    /// This fraction of the responses, chosen at random: 0.0001 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0001, max = 1.0))]
    pub fraction: Option<f64>,
    /// The first response of each sidecar, and every n-th after it: 1 to 1000000.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub every: Option<u32>,
}
