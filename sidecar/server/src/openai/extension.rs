//! The field `personaguard`, by which requests ask the guard, and responses tell of it.

use personaguard_terms::{ActionKind, Mode, Score};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// The field of a request.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub(crate) struct ExtensionBody {
    /// Whether to report the scores of each trait.
    #[serde(default)]
    pub(crate) scores: bool,
    /// Whether to report the projections of each token.
    #[serde(default)]
    pub(crate) tokens: bool,
    /// What is asked beyond the policies, by the name of the vector.
    #[serde(default)]
    pub(crate) traits: BTreeMap<String, TraitOverrides>,
}

/// What a request asks for about one trait, beyond the policies.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object for each trait")]
pub(crate) struct TraitOverrides {
    #[serde(default)]
    pub(crate) block: bool,
    pub(crate) max: Option<f64>,
    pub(crate) min: Option<f64>,
    pub(crate) coefficient: Option<f64>,
}

/// The field of a response: what the policies made of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct ScoreReport {
    pub(crate) policies: Vec<PolicyInfo>,
    /// How often the response was written, where that is more than once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) attempts: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) scores: Option<Vec<TraitScore>>,
    /// The projection of each token, by vector.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tokens: Option<Map<String, Value>>,
}

/// A policy that guards the response.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct PolicyInfo {
    pub(crate) name: String,
    pub(crate) generation: i64,
    pub(crate) mode: Mode,
    /// Vectors that it names and that are not measured.
    pub(crate) refused: Vec<String>,
    /// Whether it looks at this response.
    pub(crate) sampled: bool,
    /// Why nothing of it is enforced.
    pub(crate) unresolved: Option<String>,
}

/// Scores of one trait under one policy, in units of the model's activations.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct TraitScore {
    pub(crate) policy: String,
    pub(crate) vector: String,
    #[serde(rename = "trait")]
    pub(crate) trait_name: String,
    pub(crate) layer: u32,
    pub(crate) prompt_last: Option<f64>,
    pub(crate) response_avg: Option<f64>,
    /// Of each section, where the response has reasoning.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reasoning_avg: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) answer_avg: Option<f64>,
    /// The score that is compared with the threshold.
    pub(crate) score: Score,
    pub(crate) threshold: Option<ThresholdInfo>,
    pub(crate) breached: bool,
    pub(crate) action: ActionKind,
}

/// A threshold: a number where there is only an upper bound, as most have.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub(crate) enum ThresholdInfo {
    Max(f64),
    Bounds { min: Option<f64>, max: Option<f64> },
}
